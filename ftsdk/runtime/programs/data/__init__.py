"""The rows of a job as its trainer takes them."""
