"""Whole sites and faults."""
