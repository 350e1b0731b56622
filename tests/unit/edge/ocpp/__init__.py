"""The pure parts of OCPP."""
