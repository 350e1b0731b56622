"""Forecast weather: what a provider answers, decoded; pure, for the cloud and for a gateway without one."""
