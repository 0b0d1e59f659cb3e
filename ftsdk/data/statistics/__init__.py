"""How long the rows are and what a cutoff removes; kept by content."""
