"""Finds trainer processes that hang, from their heartbeats and from what the kernel says about them."""
