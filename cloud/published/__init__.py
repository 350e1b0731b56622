"""Published load, wind and sun, fetched from their providers."""
