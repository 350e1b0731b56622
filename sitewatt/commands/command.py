"""``sitewatt command``: order a site to do something, see what became of it, prove it afterwards.

Any MQTT client can do the same by hand: docs/operations.md shows it with openssl and mosquitto_pub.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from contracts.clock import Clock, parse_clock
from contracts.control import AckStage, Action, CommandAck
from contracts.topics import Up, site_topic
from contracts.units import epoch_ms
from sitewatt.durations import duration
from sitewatt.output import BAD_INPUT, fail, print_json

if TYPE_CHECKING:
    from edge.links.settings import LinkSettings
    from sitewatt.operator.book import Book

KINDS = (
    "limit_import", "limit_export", "battery_power", "switch", "maintenance_lock", "read", "live", "diagnostics",
)  # fmt: skip
# These answer and are over; the others run until their end.
_AT_ONCE = frozenset({"maintenance_lock", "read", "live", "diagnostics", "release"})
_LASTS = timedelta(minutes=15)
_LASTS_AT_ONCE = timedelta(minutes=1)
_STAGES = ("accepted", "applied", "effective", "completed", "none")

app = typer.Typer(help="Orders to a site: send, watch, release, prove; and the keys behind them.", no_args_is_help=True)
keys_app = typer.Typer(help="The keys that sign orders.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Broker = Annotated[str, typer.Option("--broker", metavar="URL", help="mqtt://HOST:1883 or mqtts://HOST:8883.")]
_Zone = Annotated[str, typer.Option("--zone", help="The price area that the site belongs to.")]
_Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key (PEM); what was sent stands beside it.")]
_Issuer = Annotated[str, typer.Option("--issuer", help="The name by which the site trusts the key.")]
_Wait = Annotated[str | None, typer.Option("--wait", metavar="STAGE", help=", ".join(_STAGES))]
_Timeout = Annotated[float, typer.Option("--timeout", min=0.5, max=3600, help="Real seconds to wait.")]
_ClockSpec = Annotated[str | None, typer.Option("--clock", metavar="SPEC", help="A scaled clock; the machine's else.")]
_Ca = Annotated[Path | None, typer.Option("--ca-file", help="The broker's authority.")]
_Cert = Annotated[Path | None, typer.Option("--cert-file", help="This client's certificate.")]
_CertKey = Annotated[Path | None, typer.Option("--cert-key-file", help="The certificate's key.")]
_User = Annotated[str | None, typer.Option("--username", help="User at the broker.")]
_Password = Annotated[Path | None, typer.Option("--password-file", help="File with the password.")]
_Mqtt = Annotated[str, typer.Option("--protocol", help="5 or 3.1.1.")]


@app.command()
def send(
    site: Annotated[str, typer.Argument(help="The site.")],
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    broker: _Broker,
    zone: _Zone,
    key: _Key,
    issuer: _Issuer,
    max_w: Annotated[int | None, typer.Option(help="Of limit_import and limit_export, zero or greater.")] = None,
    power_w: Annotated[int | None, typer.Option(help="Of battery_power, positive charging.")] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Of switch and maintenance_lock.")] = None,
    device: Annotated[str | None, typer.Option(help="Of switch: which load.")] = None,
    points: Annotated[str | None, typer.Option(metavar="P,P", help="Of read: meter/active_power_w,…")] = None,
    period_s: Annotated[int | None, typer.Option(help="Of live: seconds between messages, 1 to 60.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="30m, 2h; 15m else.")] = None,
    event: Annotated[str | None, typer.Option(help="The event that it belongs to.")] = None,
    wait: _Wait = None,
    timeout: _Timeout = 60.0,
    clock: _ClockSpec = None,
    ca_file: _Ca = None,
    cert_file: _Cert = None,
    cert_key_file: _CertKey = None,
    username: _User = None,
    password_file: _Password = None,
    protocol: _Mqtt = "5",
    as_json: _Json = False,
) -> None:
    """Send one signed order and wait for what becomes of it.

    Exit 0 the awaited stage came (accepted where nothing is said; completed where the answer is all), 1 the order was
    rejected, had no effect, or nothing came in time, 2 bad arguments.
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
    settings = _settings(broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json)
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
        clock=_clock(clock, as_json=as_json),
        as_json=as_json,
    )


@app.command()
def release(
    command_id: Annotated[str, typer.Argument(help="The order to end, as send and list show it.")],
    broker: _Broker,
    key: _Key,
    site: Annotated[str | None, typer.Option(help="Its site, where this key did not send it from here.")] = None,
    zone: Annotated[str | None, typer.Option(help="Its zone, likewise.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Its issuer, likewise.")] = None,
    wait: _Wait = None,
    timeout: _Timeout = 60.0,
    clock: _ClockSpec = None,
    ca_file: _Ca = None,
    cert_file: _Cert = None,
    cert_key_file: _CertKey = None,
    username: _User = None,
    password_file: _Password = None,
    protocol: _Mqtt = "5",
    as_json: _Json = False,
) -> None:
    """End an order before it expires; only its issuer may."""
    with _sentences(as_json):
        entry = _book(key).find(command_id) or {}
    found = {
        "site": site or entry.get("site"),
        "zone": zone or entry.get("zone"),
        "issuer": issuer or entry.get("issuer"),
    }
    if missing := [name for name, value in found.items() if value is None]:
        sentence = f"{command_id} was not sent with {key} from here; say --{' --'.join(missing)}"
        fail(sentence, code="unknown_command", as_json=as_json, exit_code=BAD_INPUT)
    action = _action("release", {"command_id": command_id}, as_json=as_json)
    settings = _settings(broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json)
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
        clock=_clock(clock, as_json=as_json),
        as_json=as_json,
    )


@app.command(name="list")
def list_sent(
    key: _Key,
    running: Annotated[bool, typer.Option("--running", help="Only those that may still run.")] = False,
    clock: _ClockSpec = None,
    as_json: _Json = False,
) -> None:
    """List what was sent with a key from here, the newest last, and the last answer that was heard."""
    from sitewatt.operator.book import left_s

    now = _clock(clock, as_json=as_json).now()
    with _sentences(as_json):
        entries = _book(key).entries()
    over = {"rejected", "completed", "expired", "released", "superseded"}
    shown = [
        {**entry, "left_s": left_s(entry, now)}
        for entry in entries
        if not running or (left_s(entry, now) > 0 and entry["stage"] not in over)
    ]
    if as_json:
        print_json(shown)
        return
    for entry in shown:
        because = f" ({entry['reason']})" if entry.get("reason") else ""
        left = f", {entry['left_s']:.0f} s left" if entry["left_s"] else ""
        typer.echo(f"{entry['command_id']}  {entry['site']}  {_said(entry['action'])}  {entry['stage']}{because}{left}")


@app.command()
def watch(
    broker: _Broker,
    zone: _Zone,
    site: Annotated[str | None, typer.Argument(help="One site; the whole zone without.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Until Ctrl-C without.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Note the answers beside this key.")] = None,
    ca_file: _Ca = None,
    cert_file: _Cert = None,
    cert_key_file: _CertKey = None,
    username: _User = None,
    password_file: _Password = None,
    protocol: _Mqtt = "5",
    as_json: _Json = False,
) -> None:
    """Print every answer as it comes: one line each, or one JSON object."""
    settings = _settings(broker, protocol, ca_file, cert_file, cert_key_file, username, password_file, as_json=as_json)
    for_s = None if lasts is None else _duration(lasts, as_json=as_json).total_seconds()
    topic = site_topic(zone=zone, site=site or "+", channel=Up.ACKS)
    book = None if key is None else _book(key)

    def heard(ack: CommandAck) -> None:
        if book is not None:
            book.heard(ack)
        _show(ack, as_json=as_json, site=True)

    with _sentences(as_json), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(settings, topic, for_s, heard))


@app.command()
def evidence(
    event: Annotated[str, typer.Argument(metavar="ID", help="An event, or a command.")],
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="A gateway's state folder.")] = None,
    tables: Annotated[Path | None, typer.Option(metavar="DIR", help="A local cloud's folder or tables.")] = None,
    site: Annotated[str | None, typer.Option(help="The site, with --tables.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Exit 1 where the chain does not hold.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the records as CSV.")] = None,
    as_json: _Json = False,
) -> None:
    """Export the proof of an event or a command, and verify that no record was changed, lost or moved.

    Exit 0 the chain holds (or was not asked about), 1 it does not or there is none, 2 bad arguments.
    """
    from sitewatt.operator.proof import EvidenceMissing, as_csv, from_state, from_tables

    try:
        if state is not None and tables is None:
            found = from_state(state, event)
        elif state is None and tables is not None and site is not None:
            found = from_tables(tables, site, event)
        else:
            sentence = "say where the evidence is: --state DIR, or --tables DIR with --site"
            fail(sentence, code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)
    except EvidenceMissing as error:
        fail(str(error), code="no_evidence", as_json=as_json)
    if csv is not None:
        try:
            csv.write_text(as_csv(found.records), encoding="utf-8")
        except OSError as error:
            fail(f"{csv} cannot be written: {error.strerror}", code="unwritable", as_json=as_json, exit_code=BAD_INPUT)
    broken = found.broken()
    if as_json:
        print_json(found.plain())
    else:
        for line in found.lines():
            typer.echo(line)
        typer.echo(
            f"{len(found.records)} records, the chain holds" if broken is None else f"the chain is broken: {broken.why}"
        )
    if verify and broken is not None:
        raise typer.Exit(1)


@keys_app.command("new")
def keys_new(path: Annotated[Path, typer.Argument(metavar="FILE")], as_json: _Json = False) -> None:
    """Make a private key that only its owner may read, and show its public key."""
    from sitewatt.operator.keys import make_key

    with _sentences(as_json):
        public = make_key(path)
    _show_key(path, public, as_json=as_json)


@keys_app.command("show")
def keys_show(path: Annotated[Path, typer.Argument(metavar="FILE")], as_json: _Json = False) -> None:
    """Show the public key of a private one, as a site's configuration has it."""
    from sitewatt.operator.keys import load_key, public_key

    with _sentences(as_json):
        public = public_key(load_key(path))
    _show_key(path, public, as_json=as_json)


@keys_app.command("trust")
def keys_trust(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The private key, or a file with a public one.")],
    issuer: _Issuer,
    role: Annotated[str, typer.Option(help="grid_operator, aggregator, owner or installer.")],
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Add it to this site's configuration.")] = None,
    as_json: _Json = False,
) -> None:
    """Print what makes a site trust a key, or add it to the site's configuration, which the gateway reads at start."""
    from edge.config import IssuerRole, load_config
    from edge.errors import ConfigError
    from sitewatt.operator.keys import TrustRefused, add_trust, load_key, public_key, trust_yaml

    if role not in set(IssuerRole):
        fail(f"{role!r} is none of {', '.join(IssuerRole)}", code="bad_role", as_json=as_json, exit_code=BAD_INPUT)
    with _sentences(as_json):
        public = public_key(load_key(path))
    if config is None:
        typer.echo(trust_yaml(issuer=issuer, role=role, public=public), nl=False)
        return
    try:
        add_trust(config, issuer=issuer, role=role, public=public, check=load_config)
    except (TrustRefused, ConfigError) as error:
        fail(f"{config} was not changed: {error}", code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        sentence = f"{config} was not changed: {error.strerror}"
        fail(sentence, code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({"config": str(config), "issuer": issuer, "role": role, "public_key": public})
    else:
        typer.echo(f"{config} trusts {issuer} as {role}; restart the gateway")


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
    if awaited not in _STAGES:
        fail(f"{wait!r} is none of {', '.join(_STAGES)}", code="bad_stage", as_json=as_json, exit_code=BAD_INPUT)
    kept_for = _LASTS_AT_ONCE if at_once and action.kind not in ("maintenance_lock", "live") else _LASTS
    length = kept_for if lasts is None else _duration(lasts, as_json=as_json)
    with _sentences(as_json):
        key, book, now = load_key(key_path), _book(key_path), clock.now()
        # Whole seconds of the instant are above whatever an earlier book used, were it lost.
        seq = book.next_seq(issuer=issuer, site=site, at_least=epoch_ms(now) // 1000)
        try:
            command = post.signed(
                action, site=site, issuer=issuer, seq=seq, now=now, lasts=length, key=key, event_id=event
            )
        except ValidationError as error:
            raise ValueError(_first(error)) from error
        book.sent(command, zone=zone)

        def heard(ack: CommandAck) -> None:
            book.heard(ack)
            if not as_json:
                _show(ack, as_json=False)

        if not as_json:
            typer.echo(f"{command.command_id} sent to {site}: {_said(action.model_dump())}")
        try:
            outcome = asyncio.run(
                post.send(
                    settings,
                    command,
                    zone=zone,
                    awaited=None if awaited == "none" else AckStage(awaited),
                    timeout_s=timeout_s,
                    heard=heard,
                )
            )
        except post.NoAnswer as error:
            fail(str(error), code="no_answer", as_json=as_json, command_id=command.command_id)
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
    typer.echo("  ".join(parts))


def _show_key(path: Path, public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": str(path), "public_key": public})
    else:
        typer.echo(public)


def _action(kind: str, given: dict[str, Any], *, as_json: bool) -> Action:
    """Return the action of a kind; an option that is not of this kind is refused, not forgotten."""
    adapter: TypeAdapter[Action] = TypeAdapter(Action)
    try:
        return adapter.validate_python({"kind": kind, **{name: one for name, one in given.items() if one is not None}})
    except ValidationError as error:
        fail(f"{kind}: {_first(error)}", code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][-1]).replace("_", "-") if first["loc"] else "order"
    if first["type"] == "missing":
        return f"needs --{name}"
    if first["type"] == "extra_forbidden":
        return f"takes no --{name}"
    return f"{name}: {first['msg']}"


def _settings(
    broker: str,
    protocol: str,
    ca_file: Path | None,
    cert_file: Path | None,
    cert_key_file: Path | None,
    username: str | None,
    password_file: Path | None,
    *,
    as_json: bool,
) -> "LinkSettings":
    from edge.links.settings import LinkSettings

    try:
        return LinkSettings.model_validate(
            {
                "url": broker,
                "protocol": protocol,
                "ca_file": ca_file,
                "cert_file": cert_file,
                "key_file": cert_key_file,
                "username": username,
                "password_file": password_file,
                "session_expiry_s": 0,
                "reconnect_s_min": 0.2,
                "reconnect_s_max": 2.0,
                "throttle": False,
            }
        )
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        fail(f"broker: {message}", code="bad_broker", as_json=as_json, exit_code=BAD_INPUT)


def _clock(spec: str | None, *, as_json: bool) -> Clock:
    try:
        return parse_clock(spec)
    except ValueError as error:
        fail(str(error), code="bad_clock", as_json=as_json, exit_code=BAD_INPUT)


def _duration(text: str, *, as_json: bool) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        fail(str(error), code="bad_duration", as_json=as_json, exit_code=BAD_INPUT)


def _book(key_path: Path) -> "Book":
    from sitewatt.operator.book import Book

    return Book(key_path)


@contextlib.contextmanager
def _sentences(as_json: bool) -> Any:
    """End with one sentence where a key, a book, the broker or an argument cannot be used."""
    from edge.errors import ConfigError
    from sitewatt.operator.post import NoAnswer

    # A broker that cannot be reached is our answer, not a line of a gateway's log.
    logging.getLogger("edge.links").setLevel(logging.CRITICAL)
    try:
        yield
    except NoAnswer as error:
        fail(str(error), code="no_answer", as_json=as_json)
    except (ConfigError, ValueError) as error:
        fail(str(error), code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)


def _said(action: dict[str, Any]) -> str:
    return " ".join([str(action["kind"]), *(f"{name}={one}" for name, one in action.items() if name != "kind")])


def _watts(power_w: float | None) -> str:
    return "unknown" if power_w is None else f"{power_w:.0f} W"
