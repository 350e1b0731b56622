"""Tariffs."""
