"""Devices that answer on a real socket."""
