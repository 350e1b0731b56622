"""The stack as code."""
