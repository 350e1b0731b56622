"""Tests against real brokers, sockets and files."""
