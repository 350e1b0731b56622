"""What is too long for a change to wait for: `make nightly`, and `make matrix` alone."""
