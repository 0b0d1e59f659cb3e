"""Trainers by name. Each module has `train(job, wish) -> None`: returns when the model is in the output folder,

raises `InterruptedTraining` once a wish to stop is fulfilled and its checkpoint announced, anything else as a failure.
"""
