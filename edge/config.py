"""The configuration of one site, read once, checked once."""
