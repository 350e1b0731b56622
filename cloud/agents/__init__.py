"""The agents' skills and the doors to them."""
