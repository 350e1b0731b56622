"""``sitewatt market readings``: meter readings that the market does not believe, and a person's word on them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.units import epoch_ms
from sitewatt.commands.market_tables import JsonOption, TablesArgument, ZoneOption, local, opened, zones_of
from sitewatt.money_text import kwh
from sitewatt.output import BAD_INPUT, fail, print_json, tell

readings = typer.Typer(help="Readings held as implausible, which settle as estimates.", no_args_is_help=True)


@readings.command("list")
def list_readings(tables: TablesArgument, zone: ZoneOption = None, as_json: JsonOption = False) -> None:
    """Show the readings that are held, what they say, why nobody believes them, and when they become final."""
    found = _held(tables, zone, as_json)
    if as_json:
        print_json({"readings": found})
        return
    with opened(tables, as_json) as (_, registry):
        times = [[local(registry, row["zone"], row[name]) for name in ("start", "final_at")] for row in found]
    for row, (start, final_at) in zip(found, times, strict=True):
        tell(
            f"{row['zone']}  {start}  {row['site']}: {kwh(row['held'])} ({row['reason']}); counts as "
            f"{kwh(row['metered_wh'])}, final at {final_at}"
        )
    tell(f"{len(found)} readings are held")


@readings.command()
def release(
    tables: TablesArgument,
    site: Annotated[str, typer.Option(help="Whose reading.")],
    start: Annotated[str, typer.Option(help="The interval's beginning, as the list shows it.")],
    by: Annotated[str, typer.Option(help="Who says that it is right; kept in the journal.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")],
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a held reading settle as it is."""
    from cloud.market import commands
    from cloud.shell.skill_ports import beside

    at = _instant(start, as_json)
    waiting = [
        row
        for row in _held(tables, zone, as_json)
        if row["site"] == site and datetime.fromisoformat(row["start"]) == at
    ]
    if not waiting:
        sentence = f"no reading of {site} is held in the interval of {start}; nothing was released"
        fail(sentence, code="unknown", as_json=as_json, site=site)
    with opened(tables, as_json, write=True) as (store, registry):
        command = commands.release_reading(
            site=site, interval_ms=epoch_ms(at), by=by, reason=reason, at_ms=epoch_ms(datetime.now(UTC))
        )
        beside(store, registry)(waiting[0]["zone"], command)
    if as_json:
        print_json({"site": site, "start": at.isoformat(), "released": True})
        return
    tell(f"{site}'s reading of {at.isoformat()} is released by {by}: {reason}")


def _held(tables: Path, zone: str | None, as_json: bool) -> list[dict[str, Any]]:
    from cloud.shell.market.review import held_readings

    with opened(tables, as_json) as (store, registry):
        return [row for one in zones_of(registry, zone, as_json) for row in held_readings(store, one.id)]


def _instant(text: str, as_json: bool) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        sentence = f"start is {text!r}, not an instant like 2026-11-10T12:00+00:00"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    return at
