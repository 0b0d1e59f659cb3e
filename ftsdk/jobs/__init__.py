"""Jobs: submit, attach, status, logs, metrics, watch, retry, list, remove."""
