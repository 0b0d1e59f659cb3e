"""What backends are tested with, also those of other packages; needs pytest."""
