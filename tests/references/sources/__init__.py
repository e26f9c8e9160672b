"""What the stored references are computed from, one subject a module."""
