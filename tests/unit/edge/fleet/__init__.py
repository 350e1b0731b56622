"""What the fleet asks of a gateway."""
