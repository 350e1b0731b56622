"""Unit tests of the cloud."""
