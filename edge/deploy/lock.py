"""The lock: every library by version and hash, for each way to install; ``python -m edge.deploy.lock [check|make]``.

``requirements/<name>.txt`` holds what one set of extras needs, for CPython 3.11 to 3.13 on every processor that has
wheels. ``make demo``, ``make test`` and the Debian package install from it, so nobody installs what was not tried, nor
a file that a registry has changed since. ``make`` resolves anew (needs uv and a registry), ``check`` needs neither.
Source: pip's documentation, "Secure installs"; PEP 508 for markers.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.deploy.source_tree import ROOT, project

if TYPE_CHECKING:
    from packaging.requirements import Requirement

FOLDER: Final = ROOT / "requirements"


@dataclass(frozen=True, kw_only=True)
class LockSet:
    """What one lock is made of: extras, and whether the base (the command line) and the build tools belong to it.

    One ``apart`` has an environment of its own and need not have the others' versions.
    """

    extras: tuple[str, ...]
    base: bool = True
    build_tools: bool = False
    apart: bool = False


# By the name of the file. The widest comes first: the others take its versions.
SETS: Final[Mapping[str, LockSet]] = {
    "dev": LockSet(extras=("dev",), build_tools=True),
    "demo": LockSet(extras=("demo",), build_tools=True),
    "gateway": LockSet(extras=("edge", "aws", "ocpp")),
    "bundle-core": LockSet(extras=("functions",), base=False),
    "bundle-lake": LockSet(extras=("lake",), base=False),
    "bundle-solvers": LockSet(extras=("solvers",), base=False),
    "emulator": LockSet(extras=("emulator",), base=False, apart=True),
    "installer": LockSet(extras=("installer",), base=False, apart=True),
}
BUILD_TOOLS: Final = FOLDER / "build.in"
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*(.*?))?\s*\\?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ADDRESS: Final = re.compile(r"[a-z+]+://|--(?:extra-)?index-url|--find-links")


class LockError(Exception):
    """The lock cannot be made or used; the message says which file and what to do."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One library of a lock: its version, where it is needed, and the files that may be installed."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def needed(self, environment: Mapping[str, str]) -> bool:
        """Return whether an environment (PEP 508's names) needs it."""
        from packaging.markers import Marker

        return not self.marker or Marker(self.marker).evaluate(dict(environment))

    def line(self) -> str:
        """Return it as pip reads it, for an environment that needs it."""
        return f"{self.name}=={self.version} {' '.join(f'--hash=sha256:{one}' for one in self.hashes)}"


def main(arguments: list[str] | None = None) -> int:
    """Check or make the lock; 0 where it is good, 1 where it is not."""
    parser = argparse.ArgumentParser(prog="python -m edge.deploy.lock", description="Check or make requirements/*.txt.")
    parser.add_argument("what", nargs="?", choices=("check", "make"), default="check")
    options = parser.parse_args(arguments)
    try:
        if options.what == "make":
            make()
        found = faults(FOLDER, project())
    except LockError as error:
        found = [str(error)]
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


def digest(described: Mapping[str, Any], build_tools: str) -> str:
    """Return the SHA-256 of all that the lock is made from."""
    asked = {name: sorted(map(str, direct(described, each.extras, base=each.base))) for name, each in SETS.items()}
    told = [described["project"]["requires-python"], asked, build_tools]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def faults(folder: Path, described: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the lock: not of this project, not exact, without a hash, or with an address in it."""
    wanted = digest(described, (folder / BUILD_TOOLS.name).read_text(encoding="utf-8"))
    found: list[str] = []
    versions: dict[tuple[str, str], str] = {}
    for name, each in SETS.items():
        path = folder / f"{name}.txt"
        if not path.exists():
            found.append(f"{path} is missing; make lock makes it")
            continue
        text = path.read_text(encoding="utf-8")
        if f"sha256:{wanted}" not in text.partition("\n")[0]:
            found.append(f"{path} was made from another pyproject.toml; make lock makes it anew")
        if address := _ADDRESS.search(text):
            found.append(f"{path} names an address ({address[0]}); it must not depend on one registry")
        try:
            pins = read(path)
        except LockError as error:
            found.append(str(error))
            continue
        found += _unmet(path, pins, direct(described, each.extras, base=each.base))
        for pin in () if each.apart else pins:
            other = versions.setdefault((pin.name, pin.marker), pin.version)
            if other != pin.version:
                found.append(f"{path} has {pin.name} {pin.version}, another {other}; make lock makes them anew")
    return found


def read(path: Path) -> tuple[Pin, ...]:
    """Return what a lock holds.

    Raises:
        LockError: A line is no exact version with at least one hash.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    blocks = re.split(r"\n(?=\S)", "\n".join(lines).strip())
    return tuple(_pin(path, block) for block in blocks)


def _pin(path: Path, block: str) -> Pin:
    head = block.partition("\n")[0].strip()
    match, hashes = _PIN.match(head), tuple(_HASH.findall(block))
    if match is None or not hashes:
        raise LockError(f"{path}: {head[:80]!r} is not one exact version with its hashes; make lock makes it anew")
    return Pin(name=canonical(match[1]), version=match[3], marker=match[4] or "", hashes=hashes)


def canonical(name: str) -> str:
    """Return a library's name as registries compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(described: Mapping[str, Any], extras: Iterable[str], *, base: bool = True) -> "Iterator[Requirement]":
    """Yield what the project itself asks for with some extras, those that they name included.

    Args:
        described: The content of ``pyproject.toml``.
        extras: Their names.
        base: Whether what every installation needs belongs to it.
    """
    from packaging.requirements import Requirement

    table = described["project"]
    always = table["dependencies"] if base else ()
    for text in (*always, *(one for extra in extras for one in table["optional-dependencies"][extra])):
        requirement = Requirement(text)
        if canonical(requirement.name) == table["name"]:
            yield from direct(described, sorted(requirement.extras), base=base)
        else:
            yield requirement


def _unmet(path: Path, pins: Iterable[Pin], wanted: "Iterable[Requirement]") -> Iterator[str]:
    held: dict[str, list[Pin]] = {}
    for pin in pins:
        held.setdefault(pin.name, []).append(pin)
    for requirement in wanted:
        found = held.get(canonical(requirement.name), [])
        if not any(requirement.specifier.contains(pin.version, prereleases=True) for pin in found):
            has = ", ".join(pin.version for pin in found) or "none"
            yield f"{path} does not hold {requirement} (it has {has}); make lock makes it anew"


def make() -> None:
    """Resolve every set anew.

    Raises:
        LockError: uv is not installed, or found no versions that fit together.
    """
    tool = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if tool is None:
        raise LockError("uv is not installed, so the lock cannot be made; pip install uv")
    wanted = digest(project(), BUILD_TOOLS.read_text(encoding="utf-8"))
    head = f"# From pyproject.toml, sha256:{wanted}; made by make lock\n"
    widest: Path | None = None
    for name, each in SETS.items():
        command = [tool, "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "-"]
        command += [str(BUILD_TOOLS.relative_to(ROOT))] if each.build_tools else []
        command += [f"--constraint={widest.relative_to(ROOT)}"] if widest is not None and not each.apart else []
        asked = "".join(f"{one}\n" for one in direct(project(), each.extras, base=each.base))
        try:
            made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, input=asked).stdout
        except subprocess.CalledProcessError as error:
            raise LockError(f"uv found no versions for {name}: {error.stderr.strip()[-500:]}") from error
        path = FOLDER / f"{name}.txt"
        path.write_text(head + made, encoding="utf-8")
        widest = widest or path


if __name__ == "__main__":
    sys.exit(main())
