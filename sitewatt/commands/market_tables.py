"""The tables of a cloud or a run, for the commands of ``sitewatt market`` that look at them or journal into them."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import BAD_INPUT, FAILED, fail

if TYPE_CHECKING:
    from cloud.stores.registry import Registry, ZoneRecord
    from cloud.stores.tables import Tables

TablesArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, or that of a cloud's tables.")]
TablesOption = Annotated[
    Path, typer.Option("--tables", metavar="DIR", help="A run's folder, or that of a cloud's tables.")
]
ZoneOption = Annotated[str | None, typer.Option(help="One zone; all of them without it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def local(registry: "Registry", zone: str, at: str) -> str:
    """Return an instant as a zone's clock on the wall shows it, with its offset, like ``2026-11-10T13:00+01:00``."""
    record = registry.zone(zone)
    instant = datetime.fromisoformat(at)
    return (instant if record is None else instant.astimezone(record.clock)).isoformat(timespec="minutes")


@contextlib.contextmanager
def opened(folder: Path, as_json: bool, *, write: bool = False) -> "Iterator[tuple[Tables, Registry]]":
    """Open a cloud's tables; what is wrong with them is one sentence."""
    from cloud.errors import CloudError
    from cloud.local.opening import open_tables, tables_place
    from cloud.stores.registry import load_registry

    path = tables_place(folder)
    if path is None:
        fail(f"{folder} holds no tables.db", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    try:
        with contextlib.closing(open_tables(path, read_only=not write)) as store:
            yield store, load_registry(store)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json, exit_code=FAILED)


def zones_of(registry: "Registry", zone: str | None, as_json: bool) -> "list[ZoneRecord]":
    """Return one zone, or all of them; an unknown one ends the command."""
    found = [one for one in registry.zones if zone in (None, one.id)]
    if not found:
        known = ", ".join(one.id for one in registry.zones)
        fail(f"no zone {zone!r}; there are {known}", code="unknown", as_json=as_json, exit_code=BAD_INPUT)
    return found
