"""What `scripts/core-targets` consists of. Only the standard library."""
