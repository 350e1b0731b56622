"""Whole neighbourhoods under faults that a seed drew."""
