"""Storage as the launcher uses it: opening, staging, copying, archives, and reading what a runtime wrote."""
