"""LLaMA-Factory: its configuration from a spec, and tables of its arguments and templates."""
