"""``sitewatt cloud export|erase``: what is kept of one site, handed out to its people, and taken away when they go."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.stores.lake import Lake
    from cloud.stores.registry import Registry
    from cloud.stores.tables import Tables

_Site = Annotated[str, typer.Option("--site", help="Whose data.")]
_Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings of a private cloud, YAML; AWS without it.")
]
_Name = Annotated[str, typer.Option("--name", help="The stack's name on AWS.")]
_Region = Annotated[str, typer.Option(help="The AWS Region.")]
_Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="An emulator's address.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """Everything in which something of a site may be; ``private`` is the folder of a private cloud."""

    tables: "Tables"
    lake: "Lake"
    registry: "Registry"
    private: Path | None = None


def register(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(export)
    app.command()(erase)


def export(
    site: _Site,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A zip; it must not exist yet.")],
    config: _Config = None,
    name: _Name = "sitewatt",
    region: _Region = "eu-central-1",
    endpoint: _Endpoint = None,
    as_json: _Json = False,
) -> None:
    """Write what is kept of a site into a zip that only you may read: records (JSON lines) and raw samples (CSV).

    Of a trade it holds the site's side alone. Exit 1 a store failed, 2 nothing is kept of the site, or FILE is there.
    """
    if out.exists():
        fail(f"{out} is there already; nothing exported", code="exists", as_json=as_json, exit_code=BAD_INPUT)
    with _opened(config, name, region, endpoint, as_json=as_json) as kept:
        from cloud.shell.persons.export import export as records_of
        from cloud.stores.private_files import write_private

        lines = [json.dumps(record, sort_keys=True) for record in records_of(kept.tables, kept.registry, site)]
        samples = list(kept.lake.of_site(site))
        if not lines and not samples:
            fail(f"nothing is kept of {site}", code="no_site", as_json=as_json, exit_code=BAD_INPUT)
        rows = [f"{one.at.isoformat()},{one.point},{one.value},{one.quality}" for one in samples]
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("records.jsonl", "".join(f"{line}\n" for line in lines))
            archive.writestr("samples.csv", "".join(f"{row}\n" for row in ["at,point,value,quality", *rows]))
        write_private(out, whole.getvalue())
    if as_json:
        print_json({"site": site, "records": len(lines), "samples": len(rows), "file": str(out)})
    else:
        tell(f"{out}: {len(lines)} records and {len(rows)} samples of {site}")


def erase(
    site: _Site,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: nothing leads back.")] = False,
    config: _Config = None,
    name: _Name = "sitewatt",
    region: _Region = "eu-central-1",
    endpoint: _Endpoint = None,
    as_json: _Json = False,
) -> None:
    """Take a site and its people out of tables, journal, lake and streams; the ledger keeps its lines and its sum.

    What is the site's own is removed; in the market's books a word drawn at random stands in its place. Take the site
    out of the registry and retire its gateway first, and stop a private cloud. Every item is read, so it takes a while;
    cut short, it is given again. Copies of before still hold everything. Exit 1 a store failed, 2 the site still takes
    part, something of it is not settled, or --yes is missing.
    """
    if not yes:
        sentence = f"erasing {site} cannot be taken back: cloud export first, then give --yes"
        fail(sentence, code="not_confirmed", as_json=as_json, exit_code=BAD_INPUT)
    with _opened(config, name, region, endpoint, as_json=as_json) as kept:
        from cloud.shell.persons.erasure import check
        from cloud.shell.persons.erasure import erase as take_out
        from cloud.stores.registry import save_registry
        from contracts.clock import SystemClock

        check(kept.registry, site)
        if kept.private is not None:
            # As the cloud's next start would do: until then its tables hold the register of before.
            save_registry(kept.tables, kept.registry)
        done = take_out(kept.tables, kept.lake, kept.registry, site, at=SystemClock().now())
        records = _scrubbed(kept, site)
    answer: dict[str, Any] = {"site": site, **asdict(done), "stream_records": records}
    if as_json:
        print_json(answer)
        return
    tell(f"{site} is gone: {done.removed} items and {done.samples} samples removed, {done.renamed} items renamed")
    if done.balance_uct is not None:
        from sitewatt.money_text import owes

        tell(f"its account stands as {done.stand_in}, which {owes(done.balance_uct)}")


def _scrubbed(kept: _Kept, site: str) -> int:
    """Leave no trace in the files of a private cloud, and return how many records of its streams went.

    A server's own files are its operator's: PostgreSQL gives the place of what was deleted away by itself.
    """
    from cloud.local.opening import ask_streams
    from cloud.stores.sqlite import SqliteTables

    if kept.private is None:
        return 0
    records = ask_streams(kept.private, lambda streams: streams.forget(site), read_only=False)
    if isinstance(kept.tables, SqliteTables):
        kept.tables.scrub()
    return records


@contextmanager
def _opened(config: Path | None, name: str, region: str, endpoint: str | None, *, as_json: bool) -> Iterator[_Kept]:
    """Open the stores of a private cloud or of a stack for the block, and end with one sentence where that fails."""
    from cloud.errors import CloudError, SetupError

    try:
        with _private(config) if config is not None else _stack(name, region, endpoint) as kept:
            yield kept
    except SetupError as error:
        fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)


@contextmanager
def _private(config: Path) -> Iterator[_Kept]:
    from cloud.errors import SetupError
    from cloud.local.config import load_config
    from cloud.local.opening import open_stores

    settings = load_config(config)
    if not settings.tables_path.is_file():
        raise SetupError(f"{settings.folder} holds no {settings.tables_path.name}: no cloud has run there")
    stores = open_stores(settings.folder, settings.servers, lake=settings.lake)
    try:
        yield _Kept(tables=stores.tables, lake=stores.lake, registry=settings.registry, private=settings.folder)
    finally:
        stores.tables.close()


@contextmanager
def _stack(name: str, region: str, endpoint: str | None) -> Iterator[_Kept]:
    from cloud.errors import SetupError
    from cloud.infra.deployment.account import Account
    from cloud.infra.deployment.registration import registered
    from cloud.infra.deployment.rollout import state_of
    from cloud.stores.dynamodb import DynamoTables
    from cloud.stores.s3 import S3Lake

    account = Account(stack=name, region=region, endpoint=endpoint)
    state, registry = state_of(account), registered(account)
    if state is None or registry is None:
        raise SetupError(f"there is no stack {name} in {region} that somebody is registered with")
    yield _Kept(
        tables=DynamoTables(account.client("dynamodb"), prefix=account.prefix),
        lake=S3Lake(account.client("s3"), bucket=state.outputs["LakeBucket"]),
        registry=registry,
    )
