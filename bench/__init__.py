"""Benchmarks: what ftsdk costs beside its peers, measured side by side on this machine. `python -m bench` runs all."""
