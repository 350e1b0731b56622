"""Day-ahead prices, fetched from their providers."""
