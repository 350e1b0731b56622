"""The host: life, service manager, logs."""
