"""A trainer that does nothing."""
