"""The Modbus engine."""
