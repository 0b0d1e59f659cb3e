"""Sweeps and pipelines: many jobs as one document, whose state is derived from its jobs."""
