"""How a status is put into words, for the page and for the terminal alike."""

from collections.abc import Mapping
from typing import Any


def watts(power_w: float | None, *, none: str = "unknown") -> str:
    """Return a power, or what stands for none."""
    return none if power_w is None else f"{power_w:.0f} W"


def span(ends: list[float | None]) -> str:
    """Return a range of power; an end that is ``None`` is open."""
    low, high = ends
    if low is None and high is None:
        return "anything"
    return f"{'-∞' if low is None else f'{low:.0f}'} to {'∞' if high is None else f'{high:.0f}'} W"


def told(setpoint: Mapping[str, Any]) -> str:
    """Return what a device is told; none is no limit on a limit, and no wish otherwise."""
    free = "no limit" if setpoint["capability"].startswith("limit") else "left to itself"
    return watts(setpoint["value_w"], none=free)


def part_words(part: Mapping[str, Any]) -> str:
    """Return how a part that has failed does; its last error stays in sight after it runs again."""
    states = {"waiting": "failed, is started again soon", "off": "SWITCHED OFF", "running": "runs again"}
    state = states.get(part["state"], part["state"])
    return f"{part['name']} {state}, {part['failures']} failures, {part['restarts']} restarts: {part['error']}"


def process_words(name: str, process: Mapping[str, Any]) -> str:
    """Return how one of a gateway's two processes does."""
    if not process["alive"]:
        return f"{name} process DOES NOT ANSWER"
    restarts = process["restarts"]
    again = f", came back {restarts} {'time' if restarts == 1 else 'times'}" if restarts else ""
    return f"{name} process {process['pid']} since {process['since_at']}{again}"
