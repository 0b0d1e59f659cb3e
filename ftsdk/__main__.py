"""`python -m ftsdk` is the command line."""

from ftsdk.cli import main

main()
