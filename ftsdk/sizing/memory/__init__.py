"""Bytes on one accelerator, term by term."""
