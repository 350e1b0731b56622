"""Modbus engine: transports, bus, read planner, codec and the SunSpec walk."""
