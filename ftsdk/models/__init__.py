"""The model of a finished job."""
