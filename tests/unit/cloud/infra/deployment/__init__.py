"""Tests of what an operator does to an account."""
