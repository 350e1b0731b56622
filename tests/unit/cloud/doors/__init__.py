"""The doors to the agents."""
