"""The engine of the programs that work on a model that exists: ftsdk's own, beside the trainers."""
