"""From samples to the journal to the uplink."""
