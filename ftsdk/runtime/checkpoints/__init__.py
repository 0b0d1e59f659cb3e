"""Checkpoints and the model in durable storage."""
