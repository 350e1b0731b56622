"""What a gateway says of itself, in tables: one fact a line, what matters first. The page's fold for experts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from edge.web.words import process_words, span, told, watts

Plain = Mapping[str, Any]


def tables(status: Plain) -> str:
    """Return the tables of a status, as ``edge.site.status`` gives it, in HTML; every text in it is escaped."""
    return "".join(_body(status))


def _body(status: Plain) -> Iterator[str]:
    cycle = status["cycle"]
    rows = [_device(device) for device in status["devices"]]
    yield _table("Devices", ("device", "profile", "state", "answers in", ""), rows)
    limits = [
        (direction, one["state"], watts(one["limit_w"], none="no limit"), f"operator silent {one['silent_s']:.0f} s")
        for direction, one in status["grid_limits"].items()
    ]
    yield _table("Grid limits", ("direction", "state", "limit", ""), limits)
    contacts = [
        (name, "cannot be read" if name in status["relays_unread"] else "closed" if closed else "open")
        for name, closed in status["relays"].items()
    ]
    yield _table("Wired contacts", ("contact", "state"), contacts)
    yield _table("Orders", ("order", "asks", "of", "stage", "left"), [_order(one) for one in status["commands"]])
    if cycle is not None:
        heads = ("device", "lever", "told", "for", "because", "read back")
        yield _table("What the devices are told", heads, [_setpoint(one) for one in cycle["setpoints"]])
        chain = ("priority", "requester", "of", "asks for", "outcome", "leaves")
        yield _table("Who asked, and what became of it", chain, [_link(one) for one in cycle["chain"]])
    yield _foot(status)


def _device(device: Plain) -> tuple[str, ...]:
    more = []
    if device["no_timer"]:
        more.append(f"no timer of its own for {', '.join(device['no_timer'])}")
    if changed := sum(device["foreign_writes"].values()):
        more.append(f"changed by another master {changed} times")
    if discarded := sum(device["quarantined"].values()):
        more.append(f"{discarded} implausible readings discarded")
    more += [f"{count} of {device['write_budgets'][name]} writes today to {name}"
             for name, count in device["writes_today"].items()]  # fmt: skip
    if not device["online"] and device["last_error"]:
        more.append(device["last_error"])
    latency = "" if device["latency_ms"] is None else f"{device['latency_ms']:.0f} ms"
    state = "online" if device["online"] else f"OFFLINE ({device['stage']})"
    return device["id"], device["profile"], state, latency, "; ".join(more)


def _order(command: Plain) -> tuple[str, ...]:
    action = command["action"]
    asked = " ".join(f"{name} {value}" for name, value in action.items() if name != "kind")
    kind = f"{action['kind']} {asked}".strip()
    return command["command_id"], kind, command["issuer"], command["stage"], f"{command['left_s']:.0f} s"


def _setpoint(setpoint: Plain) -> tuple[str, ...]:
    return (
        setpoint["device"],
        setpoint["capability"],
        told(setpoint),
        setpoint["requester"],
        setpoint["reason"],
        "proven" if setpoint["proven"] else "not proven",
    )


def _link(link: Plain) -> tuple[str, ...]:
    wish = "" if link["preferred_w"] is None else f", wishes {watts(link['preferred_w'])}"
    clipped = "" if link["clipped_by"] is None else f" by {link['clipped_by']}"
    return (
        link["priority"],
        link["requester"],
        link["resource"],
        f"{span(link['asked'])}{wish}",
        f"{link['outcome']}{clipped}",
        span(link["left"]),
    )


def _foot(status: Plain) -> str:
    loop, link, outbox = status["loop"], status["link"], status["outbox"]
    facts = [
        f"clock {status['clock']}, {status['at']}",
        *(process_words(name, process) for name, process in status["processes"].items()),
        f"link {link['state']}" + (f": {link['error']}" if link["error"] else ""),
        f"outbox {outbox['state']}, {outbox['waiting']} waiting, {outbox['dropped']} dropped",
        f"{loop['cycles']} cycles, {loop['late']} late, last {loop['last_cycle_ms']:.1f} ms, "
        f"{loop['failed_writes']} of {loop['writes'] + loop['failed_writes']} writes failed",
    ]
    return "".join(_section("The gateway", facts))


def _section(title: str, texts: Iterable[str]) -> Iterator[str]:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    if items:
        yield f"<h3>{escape(title)}</h3><ul>{items}</ul>"


def _table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table with its heading, nothing where there is no row."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(_cell(str(one)) for one in row)}</tr>" for row in rows)
    return f'<h3>{escape(title)}</h3><div class="scroll" tabindex="0"><table><tr>{head}</tr>{body}</table></div>'


def _cell(text: str) -> str:
    bad = text.startswith("OFFLINE") or text in ("not proven", "cannot be read")
    good = text in ("online", "proven", "effective")
    kind = ' class="bad"' if bad else ' class="good"' if good else ""
    return f"<td{kind}>{escape(text)}</td>"
