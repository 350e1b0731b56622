"""Unit tests of the simulator of everything."""
