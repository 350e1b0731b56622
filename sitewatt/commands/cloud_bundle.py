"""``sitewatt cloud bundle``: the code of the functions on AWS as zip files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cloud.infra.functions import Bundle
from sitewatt.output import BAD_INPUT, fail, print_json, tell

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


def register(app: typer.Typer) -> None:
    """Add the command of this file to a group."""
    app.command()(bundle)


def bundle(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The files go there.")] = Path("dist/bundles"),
    arch: Annotated[str, typer.Option(help="The processor: arm64 (what the stack uses) or amd64.")] = "arm64",
    only: Annotated[list[Bundle] | None, typer.Option(help="One bundle; may be repeated. Default: all.")] = None,
    as_json: _Json = False,
) -> None:
    """Build the functions' code: our packages and the libraries of requirements/bundle-NAME.txt, for python3.13.

    Every library is fetched as a wheel by its hash, so it needs a package registry, but no container engine and no such
    processor. Beside each zip lie a manifest (.json) and its list of parts (.cdx.json). Two builds of one commit are
    the same byte by byte. It runs from a source tree. Exit 1 something could not be built, 2 a wrong argument.
    """
    from edge.deploy.lock import LockError
    from edge.deploy.source_tree import BuildError
    from sitewatt.bundles.build import ARCHS, build

    if arch not in ARCHS:
        told = f"--arch is {arch!r}, must be {' or '.join(ARCHS)}"
        fail(told, code="arch", as_json=as_json, exit_code=BAD_INPUT)
    made = []
    for each in only or list(Bundle):
        if not as_json:
            tell(f"building {each} for {arch}", err=True)
        try:
            made.append(build(each, arch=arch, out=out))
        except (BuildError, LockError) as error:
            fail(f"bundle {each}: {error}", code="bundle", as_json=as_json)
    if as_json:
        print_json({"folder": str(out), "bundles": [asdict(built) for built in made]})
        return
    for built in made:
        parts = f"{len(built.libraries)} libraries, {built.native_libraries} compiled files for {arch}"
        size = f"{built.unzipped_bytes / 1e6:.0f} MB unzipped, {built.size_bytes / 1e6:.0f} MB zipped"
        tell(f"{out / built.file}: {size}; {parts}; sha256 {built.sha256[:16]}")
