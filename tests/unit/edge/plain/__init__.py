"""Unit tests of what the house's programs are told."""
