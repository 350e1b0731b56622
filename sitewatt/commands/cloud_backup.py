"""``sitewatt cloud backup|restore``: what a private cloud or a stack on AWS keeps, copied and put back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewatt.commands.cloud_deploy import Endpoint, Json, Name, Region, account_of, stack_of
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.stores.tables import Tables

_Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings of a private cloud, YAML; AWS without it.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(backup)
    app.command()(restore)


def backup(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The copy; it must not exist yet.")],
    config: _Config = None,
    at: Annotated[
        datetime | None,
        typer.Option("--at", help="On AWS: as it was then, UTC, within 35 days; the last second there is without it."),
    ] = None,
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Copy what is kept, which may be written to meanwhile; the copy is checked before it counts.

    Of a private cloud: tables, streams and lake, as they were at the beginning. Of a stack on AWS: register, market,
    trades and the grid's evidence as they were at one second, by DynamoDB's recovery, which takes some minutes; for up
    to a thousand sites. What comes later is not in it, so the age of the newest copy is what a lost disk or Region
    costs. The signing key and the settings are not in it: keep them apart. Exit 1 a store failed or is not sound, 2
    there is no cloud, or something where the copy goes.
    """
    begun_s = time.monotonic()
    with _told(as_json):
        if config is None:
            from cloud.infra.deployment.copies import copy_out

            account = account_of(name, region, endpoint)
            stack_of(account, as_json=as_json)
            second = None if at is None else at.replace(tzinfo=UTC)
            copied = copy_out(account, out, at=second, judge=_ledger, say=lambda text: tell(text, err=True))
            _tell_stack("copied stack", account.stack, account.region, copied, out, begun_s, as_json=as_json)
            return
        from cloud.local.backup import back_up
        from cloud.local.config import load_config

        folder = load_config(config).folder
        done = back_up(folder, out)
    _tell_files(f"copied {folder} to {out}", done, out, folder, begun_s, as_json=as_json)


def restore(
    copy: Annotated[Path, typer.Option("--from", metavar="DIR", help="What `cloud backup` made.")],
    config: _Config = None,
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Put a copy where nothing is yet: the folder of a private cloud, or a stack on AWS, in any Region.

    Every file is held against its digest first. A private cloud is started afterwards. A stack is deployed before, and
    afterwards told by `cloud register` of its schedules and its signing key. Exit 1 a store failed (on AWS: give it
    again), 2 a cloud is there already, or this is no whole copy.
    """
    begun_s = time.monotonic()
    with _told(as_json):
        if config is None:
            from cloud.infra.deployment.copies import put_back

            account = account_of(name, region, endpoint)
            stack_of(account, as_json=as_json)
            put = put_back(account, copy, judge=_ledger)
            _tell_stack("restored stack", account.stack, account.region, put, copy, begun_s, as_json=as_json)
            return
        from cloud.local.backup import restore as put_files_back
        from cloud.local.config import load_config

        folder = load_config(config).folder
        done = put_files_back(copy, folder)
    _tell_files(f"restored {copy} to {folder}", done, copy, folder, begun_s, as_json=as_json)


def _ledger(tables: "Tables") -> tuple[int, int]:
    """Return the lines of the ledger and their sum; none where nobody is registered yet."""
    from cloud.errors import SetupError
    from cloud.local.report import ledger
    from cloud.stores.registry import load_registry

    try:
        zones = [zone.id for zone in load_registry(tables).zones]
    except SetupError:
        zones = []
    found = ledger(tables, zones)
    return found["lines"], found["sum"]


@contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """End a command with one sentence where something that can be expected went wrong."""
    from cloud.errors import CloudError, SetupError

    try:
        yield
    except SetupError as error:
        fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)


def _tell_stack(what: str, stack: str, region: str, told: Any, copy: Path, begun_s: float, *, as_json: bool) -> None:
    took_s = time.monotonic() - begun_s
    if as_json:
        print_json({**asdict(told), "took_s": round(took_s, 3), "copy": str(copy)})
        return
    items = ", ".join(f"{count} of {table}" for table, count in told.items.items())
    way = "to" if what.startswith("copied") else "from"
    tell(f"{what} {stack} in {region} {way} {copy} in {took_s:.1f} s: items: {items}")
    tell(f"as it was at {told.at}; {told.ledger_lines} ledger lines, sum {told.ledger_sum}")


def _tell_files(what: str, done: Any, copy: Path, folder: Path, begun_s: float, *, as_json: bool) -> None:
    took_s = time.monotonic() - begun_s
    if as_json:
        print_json({**asdict(done), "took_s": round(took_s, 3), "copy": str(copy), "folder": str(folder)})
        return
    tell(f"{what}: {len(done.files)} files, {done.size_bytes / 1e6:.1f} MB, in {took_s:.1f} s")
    tell(f"as it was at {done.at}; {done.ledger_lines} ledger lines, sum {done.ledger_sum}")
