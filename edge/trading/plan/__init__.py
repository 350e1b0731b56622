"""The site's plan for the coming day or two: what storage and generation do, and why."""
