"""How good the estimates are: `python -m bench.sizing`."""
