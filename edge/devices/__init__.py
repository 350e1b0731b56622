"""From profile to device: quality, health, capabilities."""
