"""Builds the wheel and its list of parts: ``python -m edge.deploy.build_wheel [--out dist]``."""

import argparse
import sys
import tempfile
from pathlib import Path

from edge.deploy import sbom
from edge.deploy.lock import FOLDER, LockError, read
from edge.deploy.source_tree import BuildError, build_wheel, epoch_s, project


def main(arguments: list[str] | None = None) -> int:
    """Build the wheel and print its path; 0 built, 1 a tool failed."""
    parser = argparse.ArgumentParser(prog="python -m edge.deploy.build_wheel", description="Build the wheel.")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder of the wheel")
    options = parser.parse_args(arguments)
    try:
        built = build(options.out)
    except (BuildError, LockError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{built}\n")
    return 0


def build(out: Path) -> Path:
    """Build the wheel and, beside it, what it installs with everything that it runs on one machine.

    Raises:
        BuildError: A tool failed.
        LockError: The lock cannot be read.
    """
    at_s = epoch_s()
    with tempfile.TemporaryDirectory(prefix="sitewatt-wheel-") as folder:
        wheel = build_wheel(out, at_s=at_s, work=Path(folder))
    pins = read(FOLDER / "demo.txt")
    sbom.write_beside(wheel, version=project()["project"]["version"], pins=pins, epoch_s=at_s)
    return wheel


if __name__ == "__main__":
    sys.exit(main())
