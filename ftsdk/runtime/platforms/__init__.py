"""What is particular to each platform, inside a job."""
