"""Plain values against a real broker."""
