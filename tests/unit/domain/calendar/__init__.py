"""Tests of local time."""
