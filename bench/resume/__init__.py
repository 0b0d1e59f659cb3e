"""The cost of interruptions and of checkpoints: trainings with faults, compared with the same ones without."""
