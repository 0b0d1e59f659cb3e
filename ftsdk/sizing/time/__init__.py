"""Tokens per second, duration, and what is left of a running job."""
