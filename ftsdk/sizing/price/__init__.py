"""What machines cost, and what a job costs on each."""
