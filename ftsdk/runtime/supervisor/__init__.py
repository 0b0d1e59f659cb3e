"""The supervisor of one node: prepares an attempt, runs the trainer, decides how it ended."""
