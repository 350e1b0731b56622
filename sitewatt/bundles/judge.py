"""Whether what was put together may be deployed: small enough, and every library made for the runtime."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.deploy.build_deb import WHEEL_ARCH, Target
from edge.deploy.source_tree import BuildError

# Lambda's own bound is 250 MB, layers included; what is left is for what an update of a library brings.
UNZIPPED_BYTES_MAX: Final = 200_000_000
_ELF: Final = b"\x7fELF"
_MACHINE_AT: Final = 18  # Two bytes, in the byte order of both processors, little endian. Source: ELF-64, e_machine.
MACHINES: Final = {"amd64": 62, "arm64": 183}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found in a bundle that may be deployed."""

    unzipped_bytes: int
    native_libraries: int


def judge(tree: Path, wanted: Target) -> Verdict:
    """Judge a folder that is to be a bundle.

    Raises:
        BuildError: It is too large, or a library in it is for another processor, Python or C library.
    """
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    if size > UNZIPPED_BYTES_MAX:
        raise BuildError(f"the bundle has {size} bytes unzipped, above {UNZIPPED_BYTES_MAX}; nothing is built")
    for wheel in sorted(tree.glob("*.dist-info/WHEEL")):
        if not any(_fits(tag, wanted) for tag in _tags(wheel)):
            raise BuildError(f"{wheel.parent.name} is for {', '.join(_tags(wheel))}, not {wanted}; nothing is built")
    native = 0
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            head = file.read(_MACHINE_AT + 2)
        if head[:4] != _ELF:
            continue
        native += 1
        machine = int.from_bytes(head[_MACHINE_AT:], "little")
        if machine != MACHINES[wanted.arch]:
            raise BuildError(
                f"{path.relative_to(tree)} is for machine {machine}, not {MACHINES[wanted.arch]} ({wanted.arch}); "
                f"nothing is built"
            )
    return Verdict(unzipped_bytes=size, native_libraries=native)


def _tags(wheel: Path) -> list[str]:
    """Return the tags of an installed wheel. Source: PEP 427, the WHEEL file."""
    lines = wheel.read_text(encoding="utf-8").splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]


def _fits(tag: str, wanted: Target) -> bool:
    """Return whether the runtime takes a wheel of this tag. Source: PEP 425 and PEP 600."""
    pythons, abi, platform = tag.split("-")
    own = f"cp{wanted.python.replace('.', '')}"
    if not any(each in ("py3", own) or (abi == "abi3" and _older(each, own)) for each in pythons.split(".")):
        return False
    return platform == "any" or platform in set(_platforms(wanted))


def _older(python: str, own: str) -> bool:
    return python.startswith("cp3") and int(python[3:]) <= int(own[3:])


def _platforms(wanted: Target) -> Iterator[str]:
    machine = WHEEL_ARCH[wanted.arch]
    yield from (f"manylinux_2_{minor}_{machine}" for minor in range(wanted.glibc_minor + 1))
    yield from (f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1"))
