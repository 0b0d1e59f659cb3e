"""Searches: sweeps whose next job is chosen by Optuna after what the earlier ones have reached."""
