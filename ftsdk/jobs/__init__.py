"""Jobs: submit, attach, status, logs, metrics, watch, retry, list, remove, probe.

More than fifteen files: one for each verb, and the records that several of them read.
"""
