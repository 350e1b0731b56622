"""OCPP: the central system that charging stations call; 1.6J and 2.0.1 (docs/decisions/0026)."""
