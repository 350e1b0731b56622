"""Broker and cloud sessions."""
