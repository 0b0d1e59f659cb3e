"""Specs as files: the packaged recipes, our YAML, and LLaMA-Factory's YAML in both directions."""
