"""Builds every part of a site, owns the tasks, closes in reverse order."""
