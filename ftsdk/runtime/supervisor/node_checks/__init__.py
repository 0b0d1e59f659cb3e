"""Checks of this node before the training: GPUs, memory, disk, clock, hub and storage."""
