"""Doors to the agents, all made from the one list of skills, in one ASGI application."""
