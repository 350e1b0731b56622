"""Bytes that nobody meant, at every door of the product."""
