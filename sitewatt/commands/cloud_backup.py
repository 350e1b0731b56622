"""``sitewatt cloud backup|restore``: a private cloud's files, copied while it runs and put back."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.local.backup import Backup

_Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="Settings of the local cloud, YAML.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(backup)
    app.command()(restore)


def backup(
    config: _Config,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The copy; it must not exist yet.")],
    as_json: _Json = False,
) -> None:
    """Copy tables, streams and lake of a private cloud, which may run meanwhile; the copy is checked before it counts.

    What comes after the beginning of the copy is not in it, so the age of the newest copy is what a lost disk costs.
    The signing key and the settings are not in it: keep them apart. On AWS the tables can be brought back to any second
    of 35 days. Exit 1 a file is not sound, 2 there is no cloud, or something where the copy goes.
    """
    _work(config, as_json=as_json, copy=out, back=False)


def restore(
    config: _Config,
    copy: Annotated[Path, typer.Option("--from", metavar="DIR", help="What `cloud backup` made.")],
    as_json: _Json = False,
) -> None:
    """Put a copy where the settings keep the cloud's files, none of which may be there yet; then start the cloud.

    Every file is held against its digest first. Exit 1 the copy is damaged, 2 a cloud is there, or this is no copy.
    """
    _work(config, as_json=as_json, copy=copy, back=True)


def _work(config: Path, *, as_json: bool, copy: Path, back: bool) -> None:
    from cloud.errors import CloudError, SetupError
    from cloud.local.backup import back_up
    from cloud.local.backup import restore as put_back
    from cloud.local.config import load_config

    begun_s = time.monotonic()
    try:
        folder = load_config(config).folder
        done = put_back(copy, folder) if back else back_up(folder, copy)
    except SetupError as error:
        fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    _tell(done, copy, folder, took_s=time.monotonic() - begun_s, as_json=as_json, back=back)


def _tell(done: "Backup", copy: Path, folder: Path, *, took_s: float, as_json: bool, back: bool) -> None:
    if as_json:
        print_json({**asdict(done), "took_s": round(took_s, 3), "copy": str(copy), "folder": str(folder)})
        return
    what = f"restored {copy} to {folder}" if back else f"copied {folder} to {copy}"
    tell(f"{what}: {len(done.files)} files, {done.size_bytes / 1e6:.1f} MB, in {took_s:.1f} s")
    tell(f"as it was at {done.at}; {done.ledger_lines} ledger lines, sum {done.ledger_sum}")
