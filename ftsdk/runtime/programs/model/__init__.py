"""The loaded model: what goes with its weights, and whether the names in a spec are in it."""
