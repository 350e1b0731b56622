"""``sitewatt command``: order a site to do something, see what became of it, prove it afterwards.

Any MQTT client can do the same by hand: docs/operations.md shows it with openssl and mosquitto_pub.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from contracts.clock import Clock
from contracts.control import AckStage, Action, CommandAck
from contracts.faults import bound_of, fault_of, shown
from contracts.topics import Up, site_topic
from contracts.units import epoch_ms
from sitewatt.commands import command_keys
from sitewatt.commands.command_evidence import evidence
from sitewatt.commands.command_inputs import (
    STAGES,
    AsJson,
    Broker,
    Ca,
    Cert,
    CertKey,
    ClockSpec,
    Issuer,
    Key,
    Mqtt,
    Password,
    Timeout,
    User,
    Wait,
    Zone,
    book_of,
    clock_of,
    length_of,
    link_settings,
    one_sentence,
)
from sitewatt.commands.command_since import Since, hear_since
from sitewatt.output import BAD_INPUT, INTERRUPTED, fail, print_json, tell

if TYPE_CHECKING:
    from edge.links.settings import LinkSettings

KINDS = (
    "limit_import", "limit_export", "battery_power", "limit_load", "switch",
    "maintenance_lock", "read", "live", "diagnostics",
)  # fmt: skip
# These answer and are over; the others run until their end.
_AT_ONCE = frozenset({"maintenance_lock", "read", "live", "diagnostics", "release"})
_LASTS = timedelta(minutes=15)
_LASTS_AT_ONCE = timedelta(minutes=1)

app = typer.Typer(help="Orders to a site: send, watch, release, prove; and the keys behind them.", no_args_is_help=True)
app.add_typer(command_keys.app, name="keys")
app.command()(evidence)


@app.command()
def send(
    site: Annotated[str, typer.Argument(help="The site.")],
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    broker: Broker,
    zone: Zone,
    key: Key,
    issuer: Issuer,
    max_w: Annotated[
        int | None, typer.Option(help="Of limit_import, limit_export and limit_load, zero or greater.")
    ] = None,
    power_w: Annotated[int | None, typer.Option(help="Of battery_power, positive charging.")] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Of switch and maintenance_lock.")] = None,
    device: Annotated[str | None, typer.Option(help="Of switch and limit_load: which load.")] = None,
    points: Annotated[str | None, typer.Option(metavar="P,P", help="Of read: meter/active_power_w,…")] = None,
    period_s: Annotated[int | None, typer.Option(help="Of live: seconds between messages, 1 to 60.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="30m, 2h; 15m else.")] = None,
    event: Annotated[str | None, typer.Option(help="The event that it belongs to.")] = None,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    clock: ClockSpec = None,
    ca_file: Ca = None,
    cert_file: Cert = None,
    cert_key_file: CertKey = None,
    username: User = None,
    password_file: Password = None,
    protocol: Mqtt = "5",
    as_json: AsJson = False,
) -> None:
    """Send one signed order and wait for what becomes of it.

    Exit 0 the awaited stage came (accepted where nothing is said; completed where the answer is all), 1 the order was
    rejected, had no effect, or nothing came in time, 2 bad arguments, 130 Ctrl-C: an order that was sent runs on.
    """
    given = {
        "max_w": max_w,
        "power_w": power_w,
        "on": on,
        "device": device,
        "points": None if points is None else tuple(one.strip() for one in points.split(",") if one.strip()),
        "period_s": period_s,
    }
    name = kind.replace("-", "_")
    if name not in KINDS:
        fail(f"{kind!r} is none of {', '.join(KINDS)}", code="bad_kind", as_json=as_json, exit_code=BAD_INPUT)
    action = _action(name, given, as_json=as_json)
    settings = link_settings(
        broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json
    )
    _send(
        action,
        site=site,
        zone=zone,
        settings=settings,
        key_path=key,
        issuer=issuer,
        lasts=lasts,
        event=event,
        wait=wait,
        timeout_s=timeout,
        clock=clock_of(clock, as_json=as_json),
        as_json=as_json,
    )


@app.command()
def release(
    command_id: Annotated[str, typer.Argument(help="The order to end, as send and list show it.")],
    broker: Broker,
    key: Key,
    site: Annotated[str | None, typer.Option(help="Its site, where this key did not send it from here.")] = None,
    zone: Annotated[str | None, typer.Option(help="Its zone, likewise.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Its issuer, likewise.")] = None,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    clock: ClockSpec = None,
    ca_file: Ca = None,
    cert_file: Cert = None,
    cert_key_file: CertKey = None,
    username: User = None,
    password_file: Password = None,
    protocol: Mqtt = "5",
    as_json: AsJson = False,
) -> None:
    """End an order before it expires; only its issuer may."""
    with one_sentence(as_json):
        entry = book_of(key).find(command_id) or {}
    found = {
        "site": site or entry.get("site"),
        "zone": zone or entry.get("zone"),
        "issuer": issuer or entry.get("issuer"),
    }
    if missing := [name for name, value in found.items() if value is None]:
        sentence = f"{command_id} was not sent with {key} from here; say --{' --'.join(missing)}"
        fail(sentence, code="unknown_command", as_json=as_json, exit_code=BAD_INPUT)
    action = _action("release", {"command_id": command_id}, as_json=as_json)
    settings = link_settings(
        broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json
    )
    _send(
        action,
        site=str(found["site"]),
        zone=str(found["zone"]),
        settings=settings,
        key_path=key,
        issuer=str(found["issuer"]),
        lasts=None,
        event=None,
        wait=wait,
        timeout_s=timeout,
        clock=clock_of(clock, as_json=as_json),
        as_json=as_json,
    )


@app.command(name="list")
def list_sent(
    key: Key,
    running: Annotated[bool, typer.Option("--running", help="Only those that may still run.")] = False,
    tables: Since = None,
    clock: ClockSpec = None,
    as_json: AsJson = False,
) -> None:
    """List what was sent with a key from here, the newest last, and the last answer that was heard.

    With --tables the answers that came after nobody listened any more are taken from the cloud, and kept beside the
    key. Exit 1 the tables cannot be read, 2 the key or the folder cannot be used.
    """
    from sitewatt.operator.book import left_s

    now = clock_of(clock, as_json=as_json).now()
    with one_sentence(as_json):
        book = book_of(key)
        if not key.exists() and not book.entries():
            raise ValueError(f"there is no key {key}, and nothing was sent with one of that name")
        if tables is not None:
            hear_since(book, tables, as_json=as_json)
        entries = book.entries()
    over = {"rejected", "completed", "expired", "released", "superseded", "not_sent"}
    shown = [{**entry, "left_s": 0.0 if entry["stage"] in over else left_s(entry, now)} for entry in entries]
    if running:
        shown = [entry for entry in shown if entry["left_s"] > 0]
    if as_json:
        print_json(shown)
        return
    if not shown:
        tell("nothing that may still run" if running and entries else "nothing was sent with this key from here")
    for entry in shown:
        because = f" ({entry['reason']})" if entry.get("reason") else ""
        left = f", {entry['left_s']:.0f} s left" if entry["left_s"] else ""
        tell(f"{entry['command_id']}  {entry['site']}  {_said(entry['action'])}  {entry['stage']}{because}{left}")


@app.command()
def watch(
    broker: Broker,
    zone: Zone,
    site: Annotated[str | None, typer.Argument(help="One site; the whole zone without.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Until Ctrl-C without.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Note the answers beside this key.")] = None,
    ca_file: Ca = None,
    cert_file: Cert = None,
    cert_key_file: CertKey = None,
    username: User = None,
    password_file: Password = None,
    protocol: Mqtt = "5",
    as_json: AsJson = False,
) -> None:
    """Print every answer as it comes: one line each, or one JSON object."""
    settings = link_settings(
        broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json
    )
    for_s = None if lasts is None else length_of(lasts, as_json=as_json).total_seconds()
    topic = site_topic(zone=zone, site=site or "+", channel=Up.ACKS)
    book = None if key is None else book_of(key)

    def heard(ack: CommandAck) -> None:
        if book is not None:
            book.heard(ack)
        _show(ack, as_json=as_json, site=True)

    with one_sentence(as_json), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(settings, topic, for_s, heard))


def _send(
    action: Action,
    *,
    site: str,
    zone: str,
    settings: "LinkSettings",
    key_path: Path,
    issuer: str,
    lasts: str | None,
    event: str | None,
    wait: str | None,
    timeout_s: float,
    clock: Clock,
    as_json: bool,
) -> None:
    from sitewatt.operator import post
    from sitewatt.operator.keys import load_key

    at_once = action.kind in _AT_ONCE
    awaited = wait or ("completed" if at_once else "accepted")
    if awaited not in STAGES:
        fail(f"{wait!r} is none of {', '.join(STAGES)}", code="bad_stage", as_json=as_json, exit_code=BAD_INPUT)
    kept_for = _LASTS_AT_ONCE if at_once and action.kind not in ("maintenance_lock", "live") else _LASTS
    length = kept_for if lasts is None else length_of(lasts, as_json=as_json)
    with one_sentence(as_json):
        key, book, now = load_key(key_path), book_of(key_path), clock.now()
        # Whole seconds of the instant are above whatever an earlier book used, were it lost.
        seq = book.next_seq(issuer=issuer, site=site, at_least=epoch_ms(now) // 1000)
        try:
            command = post.signed(
                action, site=site, issuer=issuer, seq=seq, now=now, lasts=length, key=key, event_id=event
            )
        except ValidationError as error:
            raise ValueError(_first(error)) from error

        def heard(ack: CommandAck) -> None:
            book.heard(ack)
            if not as_json and ack.command_id == command.command_id:
                _show(ack, as_json=False)

        def sent() -> None:
            if not as_json:
                tell(f"{command.command_id} sent to {site}: {_said(action.model_dump())}")

        try:
            book.sent(command, zone=zone)
            outcome = asyncio.run(
                post.send(
                    settings,
                    command,
                    zone=zone,
                    awaited=None if awaited == "none" else AckStage(awaited),
                    timeout_s=timeout_s,
                    sent=sent,
                    heard=heard,
                )
            )
        except post.NotSent as error:
            book.not_sent(command.command_id)
            fail(f"{error}; nothing was sent", code="not_sent", as_json=as_json, command_id=command.command_id)
        except post.NoAnswer as error:
            fail(str(error), code="no_answer", as_json=as_json, command_id=command.command_id)
        except KeyboardInterrupt:
            sentence = f"interrupted; {command.command_id} may run on until it is released or expires"
            fail(sentence, code="interrupted", as_json=as_json, exit_code=INTERRUPTED, command_id=command.command_id)
    last = outcome.answers[-1] if outcome.answers else None
    if not outcome.reached and last is not None:
        _failed(last, awaited, as_json=as_json)
    if as_json:
        print_json(
            {
                "command_id": command.command_id,
                "seq": seq,
                "stage": "sent" if last is None else last.stage.value,
                "answers": [ack.model_dump(mode="json", exclude_none=True) for ack in outcome.answers],
            }
        )


def _failed(last: CommandAck, awaited: str, *, as_json: bool) -> None:
    because = ": ".join(part for part in (last.reason, last.detail) if part)
    sentence = f"{last.command_id} is {last.stage}, not {awaited}"
    sentence += f": {because}" if because else ""
    if last.stage is AckStage.INEFFECTIVE and last.reason is None:
        sentence += f"; the registers hold it, the meter does not show it (connection {_watts(last.measured_w)})"
    if last.feasible is not None:
        sentence += f"; the site would take {_said(last.feasible.model_dump())}"
    fail(
        sentence,
        code=last.reason.value if last.reason is not None else last.stage.value,
        as_json=as_json,
        command_id=last.command_id,
        answer=last.model_dump(mode="json", exclude_none=True),
    )


async def _watch(
    settings: "LinkSettings", topic: str, for_s: float | None, heard: Callable[[CommandAck], None]
) -> None:
    from sitewatt.operator import post

    async with post.open_link(settings, [topic], timeout_s=15.0) as link:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                async for ack in post.answers(link):
                    heard(ack)


def _show(ack: CommandAck, *, as_json: bool, site: bool = False) -> None:
    if as_json:
        print_json(ack.model_dump(mode="json", exclude_none=True))
        return
    parts = [ack.at.isoformat(timespec="milliseconds"), *([ack.site] if site else []), ack.command_id, ack.stage.value]
    parts += [str(part) for part in (ack.reason, ack.detail) if part is not None]
    if ack.measured_w is not None:
        parts.append(f"connection {_watts(ack.measured_w)}")
    parts += [f"{name}={value}" for name, value in (ack.readback or ack.values or {}).items()]
    tell("  ".join(parts))


def _action(kind: str, given: dict[str, Any], *, as_json: bool) -> Action:
    """Return the action of a kind; an option that is not of this kind is refused, not forgotten."""
    adapter: TypeAdapter[Action] = TypeAdapter(Action)
    try:
        return adapter.validate_python({"kind": kind, **{name: one for name, one in given.items() if one is not None}})
    except ValidationError as error:
        fail(f"{kind}: {_first(error)}", code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][-1]).replace("_", "-") if first["loc"] else "order"
    if first["type"] == "missing":
        return f"needs --{name}"
    if first["type"] == "extra_forbidden":
        return f"takes no --{name}"
    return (
        fault_of(first) if first["type"] == "value_error" else f"{name} is {shown(first['input'])}, {bound_of(first)}"
    )


def _said(action: dict[str, Any]) -> str:
    return " ".join([str(action["kind"]), *(f"{name}={one}" for name, one in action.items() if name != "kind")])


def _watts(power_w: float | None) -> str:
    return "unknown" if power_w is None else f"{power_w:.0f} W"
