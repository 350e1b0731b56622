"""Makes a signed apt repository: ``python -m edge.deploy.apt_repo --key KEY [--out dist/apt] PACKAGE...``.

One suite for each Debian, since a package fits one Python: 3.11 is bookworm, 3.13 is trixie. A gateway trusts the key
that stands in ``sitewatt.asc`` for this repository alone::

    deb [signed-by=/etc/apt/keyrings/sitewatt.asc] https://packages.example/sitewatt bookworm main

Serve the folder with any web server, or mount it. Source: Debian wiki, "DebianRepository/Format"; sources.list(5).
"""

import argparse
import gzip
import hashlib
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from contracts.reasons import file_reason_of
from edge.deploy.sbom import SUFFIX
from edge.deploy.source_tree import BuildError, epoch_s, run

SUITES: Final = {"311": "bookworm", "313": "trixie"}
KEY_FILE: Final = "sitewatt.asc"
_PYTHON: Final = re.compile(r"\+py(\d+)$")


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package file: where it lies in the repository, and what it says of itself."""

    path: Path
    suite: str
    arch: str
    control: str


def main(arguments: list[str] | None = None) -> int:
    """Make a repository and print its folder; 0 made, 1 a tool failed."""
    parser = argparse.ArgumentParser(prog="python -m edge.deploy.apt_repo", description="Make a signed apt repository.")
    parser.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE", help="package files (make deb)")
    parser.add_argument("--key", required=True, help="the signing key, as gpg knows it: fingerprint or address")
    parser.add_argument("--out", type=Path, default=Path("dist/apt"), help="folder of the repository")
    options = parser.parse_args(arguments)
    try:
        make(options.packages, out=options.out, key=options.key)
    except (BuildError, OSError) as error:
        sys.stderr.write(f"{file_reason_of(error)}\n")
        return 1
    sys.stdout.write(f"{options.out}\n")
    return 0


def make(packages: Iterable[Path], *, out: Path, key: str) -> None:
    """Make a repository of packages in a folder; what was there of an earlier one stays in its pool.

    Raises:
        BuildError: A package is of no known Debian, or gpg refused to sign.
        OSError: The folder cannot be written.
    """
    at = datetime.fromtimestamp(epoch_s(), UTC)
    pool = out / "pool/main"
    pool.mkdir(parents=True, exist_ok=True)
    for package in packages:
        for path in (package, package.with_name(package.name + SUFFIX)):
            if path.exists():
                shutil.copy(path, pool / path.name)
    held = [_package(path) for path in sorted(pool.glob("*.deb"))]
    for suite in sorted({package.suite for package in held}):
        _write_suite(out, suite, [package for package in held if package.suite == suite], at=at, key=key)
    (out / KEY_FILE).write_text(run(["gpg", "--batch", "--armor", "--export", key]), encoding="utf-8")


def _package(path: Path) -> Package:
    control = run(["dpkg-deb", "--field", str(path)])
    fields = dict(line.split(": ", 1) for line in control.splitlines() if re.match(r"\S+: ", line))
    python = _PYTHON.search(fields["Version"])
    if python is None or python[1] not in SUITES:
        known = ", ".join(f"+py{number} ({suite})" for number, suite in SUITES.items())
        raise BuildError(f"{path.name} is version {fields['Version']}, of no known Debian ({known}); nothing is signed")
    return Package(path=path, suite=SUITES[python[1]], arch=fields["Architecture"], control=control)


def _write_suite(out: Path, suite: str, packages: list[Package], *, at: datetime, key: str) -> None:
    folder = out / "dists" / suite
    architectures = sorted({package.arch for package in packages})
    for arch in architectures:
        listed = folder / f"main/binary-{arch}"
        listed.mkdir(parents=True, exist_ok=True)
        text = "\n".join(_entry(out, package) for package in packages if package.arch == arch)
        (listed / "Packages").write_text(text, encoding="utf-8")
        with gzip.GzipFile(listed / "Packages.gz", "wb", mtime=0) as packed:
            packed.write(text.encode())
    release = folder / "Release"
    release.write_text("\n".join(_release(folder, suite, architectures, at)) + "\n", encoding="utf-8")
    sign = ["gpg", "--batch", "--yes", "--local-user", key, "--digest-algo", "SHA512"]
    run([*sign, "--clearsign", "--output", str(folder / "InRelease"), str(release)])
    run([*sign, "--armor", "--detach-sign", "--output", str(folder / "Release.gpg"), str(release)])


def _entry(out: Path, package: Package) -> str:
    content = package.path.read_bytes()
    where = package.path.relative_to(out)
    sums = f"Filename: {where}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    return f"{package.control.rstrip()}\n{sums}"


def _release(folder: Path, suite: str, architectures: list[str], at: datetime) -> Iterator[str]:
    yield from ("Origin: sitewatt", "Label: sitewatt", f"Suite: {suite}", f"Codename: {suite}")
    yield f"Date: {at:%a, %d %b %Y %H:%M:%S} UTC"
    yield from (f"Architectures: {' '.join(architectures)}", "Components: main", "SHA256:")
    for path in sorted((folder / "main").rglob("Packages*")):
        content = path.read_bytes()
        yield f" {hashlib.sha256(content).hexdigest()} {len(content)} {path.relative_to(folder)}"


if __name__ == "__main__":
    sys.exit(main())
