"""Charging stations on real sockets."""
