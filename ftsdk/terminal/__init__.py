"""What a person sees in a terminal: progress, the live view, charts."""
