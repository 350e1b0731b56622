"""Unit tests of domain.forecasting."""
