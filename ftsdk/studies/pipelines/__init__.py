"""Pipelines: steps that need each other's results, as one study."""
