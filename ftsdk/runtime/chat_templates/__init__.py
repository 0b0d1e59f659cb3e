"""Whether the text that LLaMA-Factory composes is the text of the model's own chat template."""
