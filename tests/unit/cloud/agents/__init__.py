"""Unit tests of cloud.agents."""
