"""A gateway's status for people: one line for each fact, the reason chain as it was decided."""

from collections.abc import Iterator, Mapping
from typing import Any

from edge.web.words import part_words, process_words, span, told, watts

Plain = Mapping[str, Any]


def lines(status: Plain) -> Iterator[str]:
    """Yield the lines of a status."""
    loop, link, outbox = status["loop"], status["link"], status["outbox"]
    locked = ", LOCKED for maintenance" if status["locked"] else ""
    yield f"site {status['site']} at {status['at']}, clock {status['clock']}{locked}"
    yield (
        f"loop     {loop['cycles']} cycles, {loop['late']} late, last {loop['last_cycle_ms']:.1f} ms, "
        f"{loop['writes']} writes, {loop['failed_writes']} failed"
    )
    for name, process in status["processes"].items():
        yield f"process  {process_words(name, process)}"
    yield f"link     {link['state']}, {link['connects']} connects{_because(link['error'])}"
    if fault := link.get("certificate_fault"):
        yield f"         certificate {fault}"
    yield (
        f"outbox  {outbox['state']}, {outbox['waiting']} waiting ({outbox['bytes'] / 1024:.0f} KiB), "
        f"{outbox['dropped']} dropped{_because(outbox['error'])}"
    )
    for device in status["devices"]:
        yield _device(device)
    for text in [*status["weaknesses"], *status["device_clocks"], *loop["alarms"]]:
        yield f"note     {text}"
    if status["trading"] is not None and status["trading"]["waits"]:
        yield f"note     trading waits: {status['trading']['waits']}"
    if (weather := (status["trading"] or {}).get("weather")) is not None:
        known = "none yet" if weather["told_at"] is None else f"of {weather['told_at']}, until {weather['until']}"
        yield f"weather  {weather['source']}: {known}{_because(weather['fault'])}"
    if (prices := (status["trading"] or {}).get("prices")) is not None:
        until = prices["published_until"]
        known = "nothing published" if until is None else f"published until {until}"
        how = f"; {prices['method']}" if prices["method"] else ""
        yield f"prices   {prices['source']}: {known}{how}{_because(prices['fault'])}"
    for part in status["parts"]:
        if part["failures"]:
            yield f"part     {part_words(part)}"
    for direction, limit in status["grid_limits"].items():
        bound = watts(limit["limit_w"], none="no limit")
        yield f"limit    {direction}: {limit['state']}, {bound}, grid operator silent for {limit['silent_s']:.0f} s"
    for name, closed in status["relays"].items():
        unread = ", cannot be read" if name in status["relays_unread"] else ""
        yield f"relay    {name} {'closed' if closed else 'open'}{unread}"
    for command in status["commands"]:
        yield _command(command)
    if status["cycle"] is None:
        yield "cycle    none yet"
        return
    yield from _cycle(status["cycle"])


def _device(device: Plain) -> str:
    state = "online" if device["online"] else f"OFFLINE ({device['stage']})"
    doubt = f", NOT BELIEVED: {device['doubt']}" if device.get("doubt") else ""
    latency = "" if device["latency_ms"] is None else f", {device['latency_ms']:.0f} ms"
    discarded = sum(device["quarantined"].values())
    quarantined = f", {discarded} implausible readings discarded" if discarded else ""
    foreign = sum(device["foreign_writes"].values())
    others = f", changed by another master {foreign} times" if foreign else ""
    kept = f", no timer of its own for {', '.join(device['no_timer'])}" if device["no_timer"] else ""
    said = f"{state}{doubt}{latency}{quarantined}{others}{_wear(device)}{kept}{_because(device['last_error'])}"
    return f"device   {device['id']} {said}"


def _wear(device: Plain) -> str:
    """Say how far the most worn point of a device is through what its memory bears a day."""
    worn = [(count / device["write_budgets"][name], name) for name, count in device["writes_today"].items()]
    if not worn:
        return ""
    _, name = max(worn)
    return f", {device['writes_today'][name]} of {device['write_budgets'][name]} writes today to {name}"


def _command(command: Plain) -> str:
    action = command["action"]
    asked = " ".join(f"{name}={value}" for name, value in action.items() if name != "kind")
    return (
        f"command  {command['command_id']} {action['kind']} {asked} of {command['issuer']}: {command['stage']}, "
        f"{command['left_s']:.0f} s left"
    )


def _cycle(cycle: Plain) -> Iterator[str]:
    fresh = "" if cycle["fresh"] else ", inputs not fresh"
    yield f"cycle    {cycle['number']}: connection {watts(cycle['connection_w'])}{fresh}"
    for link in cycle["chain"]:
        wish = "" if link["preferred_w"] is None else f" wishes {watts(link['preferred_w'])}"
        clipped = "" if link["clipped_by"] is None else f" by {link['clipped_by']}"
        yield (
            f"  {link['priority']:18} {link['requester']} on {link['resource']} asks {span(link['asked'])}{wish}: "
            f"{link['outcome']}{clipped}, leaves {span(link['left'])}"
        )
    yield from (_load(load) for load in cycle["loads"])
    for setpoint in cycle["setpoints"]:
        proven = "proven" if setpoint["proven"] else "not proven"
        yield (
            f"  told               {setpoint['device']} {setpoint['capability']}: {told(setpoint)} "
            f"for {setpoint['requester']} ({setpoint['reason']}), {proven}"
        )
    for name in ("import_excess_w", "export_excess_w"):
        if cycle[name] > 0:
            yield f"  OUT OF REACH       {name.removesuffix('_excess_w')} stays {watts(cycle[name])} above its bound"


def _load(load: Plain) -> str:
    """Say what is known of a load in one line."""
    car = {True: ", car connected", False: ", no car", None: ""}[load["connected"]]
    runs = {True: "on", False: "off", None: "not known to be on"}[load["on"]]
    return (
        f"  load               {load['device']} by {load['moved_by']}: draws {watts(load['power_w'])} of "
        f"{span([load['least_w'], load['rated_w']])}, {runs}{car}"
    )


def _because(error: str | None) -> str:
    return f"; last error: {error}" if error else ""
