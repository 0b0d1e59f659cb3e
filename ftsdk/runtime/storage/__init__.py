"""Durable storage: a folder or a bucket."""
