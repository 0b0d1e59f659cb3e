"""Describe an LLM fine-tuning once, run it anywhere, survive anything, get the model back."""
