"""What is done with jobs that there are: looked at, watched, tried again, listed, removed."""
