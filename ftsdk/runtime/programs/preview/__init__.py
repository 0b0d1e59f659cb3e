"""What a training will learn: rows as tokens with their meaning and their labels, from the trainer's own functions."""
