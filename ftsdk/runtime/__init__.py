"""What runs inside the container or the child process: the supervisor and the trainers that it starts.

It travels with every job as a zipapp (see `ftsdk.facts.runtime_archive`), so everything here imports the
standard library and `ftsdk.contract` only; `programs/` imports the trainer that it drives, inside functions.
"""
