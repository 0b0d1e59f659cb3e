"""Benchmarks of the data checks: speed and memory beside others, precision and recall of the heuristics."""
