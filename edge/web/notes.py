"""What of a gateway's status somebody should act on: on its page, and where its operator looks at many."""

from collections.abc import Mapping
from typing import Any

from edge.web.words import part_words, process_words, watts

_FAILING = frozenset({"failing", "waiting", "off"})


def notes(status: Mapping[str, Any]) -> list[str]:
    """Return all that stands out in a status: its alarms, what its site is weak in, and which parts once failed."""
    recovered = [part for part in status["parts"] if part["failures"] and part["state"] not in _FAILING]
    return [*map(str, status["weaknesses"]), *alarms(status), *map(part_words, recovered)]


def alarms(status: Mapping[str, Any]) -> list[str]:
    """Return what is wrong now and ends once it is mended; not what a site always is, as a device without a timer."""
    cycle = status["cycle"]
    found = [*status["device_clocks"], *status["loop"].get("alarms", ())]
    found += [f"{device['id']} does not answer" for device in status["devices"] if not device["online"]]
    if status["trading"] is not None and status["trading"]["waits"]:
        found.append(f"trading waits: {status['trading']['waits']}")
    prices = (status["trading"] or {}).get("prices")
    if prices is not None and prices["fault"] and prices["published_until"] is None:
        found.append(f"prices of {prices['source']} are not read: {prices['fault']}")
    if fault := status["link"].get("certificate_fault"):
        found.append(f"the link's certificate {fault}: renew it, or no session is opened any more")
    found += [process_words(name, one) for name, one in status["processes"].items() if not one["alive"]]
    found += [part_words(part) for part in status["parts"] if part["failures"] and part["state"] in _FAILING]
    for name in ("import", "export"):
        if cycle is not None and cycle[f"{name}_excess_w"] > 0:
            found.append(f"{name} stays {watts(cycle[f'{name}_excess_w'])} above its bound: nothing is left to move")
    return [str(alarm) for alarm in found]
