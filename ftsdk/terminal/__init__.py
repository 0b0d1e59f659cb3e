"""Output in a terminal: progress, the live view, charts."""
