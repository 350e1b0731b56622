"""Tests of what the functions on AWS are made of."""
