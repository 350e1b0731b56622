"""The market command line on real files."""
