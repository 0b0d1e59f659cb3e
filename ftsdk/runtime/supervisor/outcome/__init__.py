"""The outcome of an attempt: from the evidence of its end to a reason, a message and a hint."""
