"""The operator's hands: keys, what was sent with each, and the way to the broker."""
