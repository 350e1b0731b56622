"""Unit tests of cloud.forecasting."""
