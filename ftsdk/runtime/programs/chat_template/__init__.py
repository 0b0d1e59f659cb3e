"""The chat template of a training, compared inside the job with that of the model."""
