"""``sitewatt cloud set-aside`` and ``journal``: what a cloud could not take, repaired and delivered again."""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from contracts.units import epoch_ms, printable
from contracts.wire import PAYLOAD_BYTES_MAX
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.local.config import CloudConfig
    from cloud.local.streams import SetAside, Streams

T = TypeVar("T")

set_aside = typer.Typer(help="Records that a function could not take.", no_args_is_help=True)
journal = typer.Typer(help="The journal of a zone's market.", no_args_is_help=True)

_Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="Settings of the local cloud, YAML.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it, such as meter:1764443000000000.")]


@set_aside.command("list")
def list_(config: _Config, as_json: _Json = False) -> None:
    """Show every record that was set aside, with the error of the function."""
    records = _asked(config, lambda streams: streams.all_set_aside(), as_json=as_json)
    if as_json:
        print_json({"set_aside": [_plain(one) for one in records]})
        return
    for one in records:
        arrived = one.record.arrived_at.isoformat(timespec="seconds")
        tell(f"{one.id}  {arrived}  {printable(one.record.partition_key)}  {printable(one.error, 160)}")
    tell(f"{len(records)} set aside")


@set_aside.command()
def show(record: _Id, config: _Config, as_json: _Json = False) -> None:
    """Show one record whole: `show ID > FILE`, mend FILE, `replay ID --data FILE`."""
    one = _found(config, record, as_json=as_json)
    if as_json:
        print_json({**_plain(one), "data": _text(one.record.data)})
    elif sys.stdout.isatty():
        tell(_text(one.record.data), line_characters_max=PAYLOAD_BYTES_MAX)
    else:
        typer.echo(_text(one.record.data))  # Into a file, as it came: it is mended there and replayed.


@set_aside.command()
def replay(
    record: _Id,
    config: _Config,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="The repaired record; default: as it came.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Deliver a record again, by the running cloud within seconds or by the next start; failing, it comes back here."""
    from contracts.wire import WireError, read_json

    one = _found(config, record, as_json=as_json)
    payload = one.record.data
    if data is not None:
        try:
            payload = data.read_bytes()
            read_json(payload)
        except OSError as error:
            fail(f"{data} cannot be read: {error.strerror}", code="bad_data", as_json=as_json, exit_code=BAD_INPUT)
        except WireError as error:
            fail(f"{data}: {error}; not replayed", code="bad_data", as_json=as_json, exit_code=BAD_INPUT)
    _asked(config, lambda streams: streams.ask_replay(one, payload), as_json=as_json)
    _said("replay asked for", one, as_json=as_json)


@set_aside.command()
def drop(record: _Id, config: _Config, as_json: _Json = False) -> None:
    """Forget one record for good."""
    one = _found(config, record, as_json=as_json)
    _asked(config, lambda streams: streams.drop(one), as_json=as_json)
    _said("dropped", one, as_json=as_json)


@journal.command()
def void(
    zone: Annotated[str, typer.Argument(help="Whose market is stuck.")],
    position: Annotated[int, typer.Argument(min=2, help="The entry that the log names.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the journal for ever.")],
    config: _Config,
    as_json: _Json = False,
) -> None:
    """Void the one entry that the market engine cannot apply; the entry and the reason stay in the journal.

    An entry that can be applied is never voided. A running cloud reads the journal again and goes on.
    """
    from cloud.errors import CloudError
    from cloud.local.opening import open_stores
    from cloud.shell.market.writer import MarketWriter
    from cloud.shell.publishing import Outgoing
    from contracts.clock import SystemClock

    class _Nobody:
        def publish(self, messages: Sequence[Outgoing]) -> None:
            """Tell nobody: the running cloud does."""

    if len(printable(reason, 200).strip()) < 3:
        fail("a reason has at least three characters", code="bad_reason", as_json=as_json, exit_code=BAD_INPUT)
    settings = _settings(config, as_json=as_json)
    record = settings.registry.zone(zone)
    if record is None:
        fail(f"zone {printable(zone, 63)} is not known", code="bad_zone", as_json=as_json, exit_code=BAD_INPUT)
    try:
        stores = open_stores(settings.folder, settings.servers, lake=settings.lake)
        try:
            writer = MarketWriter(
                zone=record,
                tables=stores.tables,
                publisher=_Nobody(),
                registry=settings.registry,
            )
            writer.void(position, reason=printable(reason, 200), at_ms=epoch_ms(SystemClock().now()))
        finally:
            stores.tables.close()
    except CloudError as error:
        fail(str(error), code="not_voided", as_json=as_json)
    if as_json:
        print_json({"voided": position, "zone": zone})
    else:
        tell(f"entry {position} of {zone} is void: {printable(reason, 200)}")


def _settings(config: Path, *, as_json: bool) -> "CloudConfig":
    from cloud.errors import SetupError
    from cloud.local.config import load_config

    try:
        return load_config(config)
    except SetupError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)


def _asked(config: Path, question: "Callable[[Streams], Awaitable[T]]", *, as_json: bool) -> T:
    """Return what the streams of a configured cloud answer; what is wrong with them ends the command."""
    from cloud.errors import CloudError
    from cloud.local.opening import ask_streams, remember

    settings = _settings(config, as_json=as_json)
    if settings.streams is None and not settings.streams_path.exists():
        fail(f"{settings.streams_path} is not there: the cloud never ran", code="store", as_json=as_json)
    try:
        remember(settings.folder, settings.servers)
        return ask_streams(settings.folder, question, read_only=False)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)


def _found(config: Path, record: str, *, as_json: bool) -> "SetAside":
    records = _asked(config, lambda streams: streams.all_set_aside(), as_json=as_json)
    found = next((one for one in records if one.id == record), None)
    if found is None:
        fail(f"{printable(record, 80)} is not set aside", code="not_found", as_json=as_json, exit_code=BAD_INPUT)
    return found


def _plain(one: "SetAside") -> dict[str, Any]:
    return {
        "id": one.id,
        "handler": one.handler,
        "arrived_at": one.record.arrived_at.isoformat(),
        "partition_key": one.record.partition_key,
        "error": one.error,
    }


def _text(data: bytes) -> str:
    """Return a record as text that harms no terminal: JSON in ASCII where it is JSON, else its printable bytes."""
    try:
        return json.dumps(json.loads(data), ensure_ascii=True)
    except (ValueError, RecursionError):
        return printable(data.decode(errors="replace"), 200_000)


def _said(what: str, one: "SetAside", *, as_json: bool) -> None:
    if as_json:
        print_json({"id": one.id, "done": what})
    else:
        tell(f"{one.id}: {what}")
