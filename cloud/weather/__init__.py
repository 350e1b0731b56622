"""Forecast weather, fetched from its providers."""
