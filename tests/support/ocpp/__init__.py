"""A charging station in another language, on another's library."""
