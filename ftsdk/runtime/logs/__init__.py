"""Log lines: stamped, masked, stored in segments, copied to other services."""
