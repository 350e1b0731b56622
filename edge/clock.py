"""The gateway's time: the clock it was started with, and how far its wall clock may be trusted."""

from contracts.clock import Clock, ScaledClock, SystemClock, parse_clock

__all__ = ["Clock", "ScaledClock", "SystemClock", "parse_clock"]
