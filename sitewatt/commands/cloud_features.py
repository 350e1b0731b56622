"""``sitewatt cloud features``: what is switched off while everything runs, in a stack or in a private cloud."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.features import Feature
from sitewatt.commands.cloud_deploy import Endpoint, Json, Name, Region, account_of, stack_of, told_in_one_sentence
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.stores.features import Features


def register_commands(app: typer.Typer) -> None:
    """Add the command of this file to a group."""
    app.command()(features)


def features(
    off: Annotated[list[Feature] | None, typer.Option(help="Switch off; may be given again.")] = None,
    on: Annotated[list[Feature] | None, typer.Option(help="Switch on; may be given again.")] = None,
    why: Annotated[str, typer.Option(help="A word that is kept with a change of a stack's.")] = "by an operator",
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of a private cloud; without it, a stack's.")
    ] = None,
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Show what is switched off, or switch it while everything runs; nothing is installed or started anew.

    weather: forecasts use what the zone's provider tells; off, the sun's path and each site's own past. plans: gateways
    follow their plans; off, storage serves its site alone. The cloud reads it within a minute, and gateways are told
    with the next forecasts. Exit 1 AWS refused, 2 there is no such folder or stack, or its switches cannot be read.
    """
    with told_in_one_sentence(as_json):
        if folder is not None:
            found = _of_folder(folder, off or [], on or [], as_json=as_json)
        else:
            from cloud.infra.deployment import features as of_stack

            account = account_of(name, region, endpoint)
            stack = stack_of(account, as_json=as_json)
            known = of_stack.stack_features(account, stack)
            found = _turned(known, off or [], on or [])
            if found != known:
                of_stack.switch(account, stack, found, why=why)
    if as_json:
        print_json({"features": found.model_dump(), "off": [*found.off]})
        return
    for each in Feature:
        tell(f"{each.value:<8} {'off' if each in found.off else 'on'}")


def _of_folder(folder: Path, off: list[Feature], on: list[Feature], *, as_json: bool) -> "Features":
    from cloud.stores.features import FEATURES_FILE, features_of
    from cloud.stores.private_files import write_private

    if not folder.is_dir():
        fail(f"--folder is {folder}, which is no folder", code="file", as_json=as_json, exit_code=BAD_INPUT)
    path = folder / FEATURES_FILE
    known = features_of(path.read_bytes() if path.exists() else b"", where=str(path))
    found = _turned(known, off, on)
    if found != known:
        write_private(path, found.text().encode())
    return found


def _turned(known: "Features", off: list[Feature], on: list[Feature]) -> "Features":
    for feature in off:
        known = known.switched(feature, on=False)
    for feature in on:
        known = known.switched(feature, on=True)
    return known
