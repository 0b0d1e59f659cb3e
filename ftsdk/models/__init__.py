"""What a job made: a handle on the model."""
