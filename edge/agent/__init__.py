"""The site on the market."""
