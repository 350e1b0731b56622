"""From samples to the outbox to the uplink."""
