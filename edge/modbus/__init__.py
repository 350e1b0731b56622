"""Modbus transports, bus, read planner, codec and SunSpec discovery."""
