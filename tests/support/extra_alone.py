"""A folder of libraries that holds a wheel and what one extra of it asks for, out of those installed here."""

import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from email.parser import Parser
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ISOLATED = (sys.executable, "-I", "-S")


def lay_out(wheel: Path, extras: Iterable[str], folder: Path) -> None:
    """Unpack the wheel into a folder and link into it every file of what it needs with these extras, and no other.

    Raises:
        PackageNotFoundError: A library that an extra asks for is not installed here.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        head = Parser().parsestr(archive.read(name).decode(), headersonly=True)
    own = canonicalize_name(str(head["Name"]))
    for library in _needed({own: head.get_all("Requires-Dist") or []}, Requirement(f"{own}[{','.join(extras)}]")):
        if library != own:
            _link(metadata.distribution(library), folder)


def run(folder: Path, code: str, *arguments: str) -> str:
    """Run Python on the folder and the standard library alone, and return what it prints."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run(
        [*ISOLATED, "-W", "error::ImportWarning", "-c", code, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


def _needed(requires: Mapping[str, list[str]], root: Requirement) -> set[str]:
    """Return the names of all libraries that a requirement leads to; ``requires`` goes before what is installed."""
    seen: set[tuple[str, str]] = set()
    waiting = [root]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        for extra in ("", *asked.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in requires.get(name) or metadata.requires(name) or []:
                wanted = Requirement(line)
                if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                    waiting.append(wanted)
    return {name for name, _ in seen}


def _link(library: metadata.Distribution, folder: Path) -> None:
    for file in library.files or []:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(Path(str(library.locate_file(file))))
