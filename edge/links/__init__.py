"""Broker and cloud sessions: one promise, two client libraries."""
