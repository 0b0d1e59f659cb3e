"""The supervisor of one node: prepares an attempt, runs the trainer, determines the outcome."""
