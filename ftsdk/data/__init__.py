"""Training data: what shape it has, what is wrong with it, and how to put it right."""
