"""What energy costs a site and earns it, as a series in its own time zone. Pure."""
