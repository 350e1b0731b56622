"""Tests of the reader of series."""
