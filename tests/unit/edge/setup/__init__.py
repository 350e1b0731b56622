"""Tests of first set-up and its checks."""
