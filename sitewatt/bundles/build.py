"""Builds the bundles: our code and the libraries of one lock, for the functions' runtime, as one zip file.

No container engine and no processor of the target is needed: every library is a wheel, taken by its hash for the
runtime's Python, C library and processor. Two builds of one commit are the same byte by byte (with the same zlib).
Source: AWS Lambda developer guide, "Working with .zip file archives for Python Lambda functions" and "Lambda runtimes"
(python3.13 runs on Amazon Linux 2023); Amazon Linux 2023 user guide, glibc 2.34.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloud.infra.functions import Bundle
from edge.deploy import sbom
from edge.deploy.build_deb import Target
from edge.deploy.lock import FOLDER, Pin, read
from edge.deploy.source_tree import ROOT, epoch_s, project, run
from sitewatt.bundles.judge import judge

PYTHON: Final = "3.13"
GLIBC_MINOR: Final = 34
ARCHS: Final = ("arm64", "amd64")
# The stack's definition, what stands in AWS's place and what it costs are not part of what runs there.
OURS: Final = ("contracts", "domain", "cloud")
LEFT_OUT: Final = ("infra", "local", "cost", "console", "__pycache__")
# Of the libraries: what only their developers, or a C compiler, would use.
_TRIMMED_FOLDERS: Final = ("tests", "include", "__pycache__")
_TRIMMED_SUFFIXES: Final = frozenset({".h", ".hpp", ".pxd", ".pyx", ".pxi", ".pyi", ".a", ".lib"})
# Parts of pyarrow that no library of Parquet's is linked with, by the beginning of their files' names: 50 MB.
_TRIMMED_OF: Final = {
    "pyarrow": ("libarrow_flight", "libarrow_python_flight", "_flight", "libarrow_s3", "_s3fs", "src")
}
MANIFEST_SUFFIX: Final = ".json"


@dataclass(frozen=True, kw_only=True)
class Built:
    """One bundle as a file.

    Args:
        bundle: Which one.
        arch: The processor that its libraries are for, as Debian names it.
        file: Its name.
        sha256: Of the file.
        size_bytes: Of the file.
        unzipped_bytes: Of what is in it, which Lambda bounds.
        native_libraries: How many compiled libraries are in it, each of them for that processor.
        libraries: The libraries with their versions.
    """

    bundle: str
    arch: str
    file: str
    sha256: str
    size_bytes: int
    unzipped_bytes: int
    native_libraries: int
    libraries: dict[str, str]


def target(arch: str) -> Target:
    """Return the runtime of the functions on a processor."""
    return Target(arch=arch, python=PYTHON, glibc_minor=GLIBC_MINOR)


def build(bundle: Bundle, *, arch: str, out: Path) -> Built:
    """Build a bundle into a folder, with its manifest and its list of parts beside it.

    Raises:
        BuildError: A library is missing for the target, a tool failed, or what was built may not be deployed.
        LockError: The lock cannot be read.
    """
    wanted = target(arch)
    pins = [pin for pin in read(FOLDER / f"bundle-{bundle}.txt") if pin.needed(wanted.environment())]
    with tempfile.TemporaryDirectory(prefix="sitewatt-bundle-") as work:
        tree = Path(work) / "tree"
        _install(wanted, pins, tree, Path(work))
        _trim(tree)
        _copy_ours(tree)
        verdict = judge(tree, wanted)
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"sitewatt-{bundle}-{arch}.zip"
        write_zip(tree, path, at_s=epoch_s())
    sbom.write_beside(path, version=project()["project"]["version"], pins=pins, epoch_s=epoch_s())
    built = Built(
        bundle=str(bundle),
        arch=arch,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        unzipped_bytes=verdict.unzipped_bytes,
        native_libraries=verdict.native_libraries,
        libraries={pin.name: pin.version for pin in pins},
    )
    path.with_name(path.name + MANIFEST_SUFFIX).write_text(json.dumps(asdict(built), indent=1) + "\n", encoding="utf-8")
    return built


def _install(wanted: Target, pins: Iterable[Pin], tree: Path, work: Path) -> None:
    locked = work / "locked.txt"
    locked.write_text("".join(f"{pin.line()}\n" for pin in pins), encoding="utf-8")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--no-compile",
        "--no-deps",
    ]
    run([*pip, f"--target={tree}", *wanted.pip_options(), "--require-hashes", f"--requirement={locked}"])


def _trim(tree: Path) -> None:
    """Remove what no function uses; what was installed stays in each library's own list."""
    shutil.rmtree(tree / "bin", ignore_errors=True)
    for path in sorted(tree.rglob("*")):
        if path.is_dir() and path.name in _TRIMMED_FOLDERS:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and path.suffix in _TRIMMED_SUFFIXES:
            path.unlink()
    for library, beginnings in _TRIMMED_OF.items():
        for path in sorted((tree / library).glob("*")):
            if path.name.startswith(beginnings):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _copy_ours(tree: Path) -> None:
    for package in OURS:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns(*LEFT_OUT))


def write_zip(tree: Path, path: Path, *, at_s: int) -> None:
    """Write a folder as a zip file that does not depend on the machine: sorted, one instant, one mode."""
    at = datetime.fromtimestamp(at_s, UTC)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(each for each in tree.rglob("*") if each.is_file()):
            info = zipfile.ZipInfo(file.relative_to(tree).as_posix(), date_time=at.timetuple()[:6])
            info.create_system = 3  # Unix, wherever it is built. Source: PKWARE appnote, 4.4.2.
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
