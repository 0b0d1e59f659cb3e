"""Model shapes and exact parameter counts, read from a config.json."""
