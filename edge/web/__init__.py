"""The gateway's page, REST and metrics."""
