"""What is installed on a gateway: the unit, the default configuration, the package's scripts, and what builds it."""
