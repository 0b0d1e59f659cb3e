"""The trainer as a process: its command line, its process tree, running and stopping it."""
