"""The part of ftsdk that runs inside the job: the supervisor, and the training programs that it starts.

It is shipped with every job as a zipapp (see `ftsdk.facts.runtime_archive`), so it imports only the standard library
and `ftsdk.contract`; `programs/` imports the trainers that it drives, inside functions.
"""
