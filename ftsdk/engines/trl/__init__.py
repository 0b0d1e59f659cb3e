"""TRL: its configuration from a spec, and the table of its arguments."""
