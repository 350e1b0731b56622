"""The gateway's decisions: pure functions of a snapshot, requests, settings and what the last cycle left behind."""
