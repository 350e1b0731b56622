"""A bundle is refused before it is deployed where it could not run, and holds all that its functions import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.infra.functions import FUNCTIONS, Bundle
from edge.deploy.lock import FOLDER, read
from edge.deploy.source_tree import ROOT, BuildError
from sitewatt.bundles import judge as judging
from sitewatt.bundles.build import ARCHS, LEFT_OUT, target, write_zip
from sitewatt.bundles.judge import judge

ARM, INTEL = target("arm64"), target("amd64")
# Refuses what the bundle does not hold, as an empty environment would, and imports the functions of the bundle.
IMPORT = """
import importlib, importlib.metadata, re, sys
held, left_out = set(sys.argv[1].split()), set(sys.argv[2].split())
owners = importlib.metadata.packages_distributions()
class Absent:
    def find_spec(self, name, path=None, target=None):
        top, parts = name.partition(".")[0], set(name.split(".")[1:])
        ours = top in ("contracts", "domain", "cloud")
        there = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners.get(top, ())}
        if (ours and parts & left_out) or (there and not ours and not there & held):
            raise ModuleNotFoundError(f"{name} is not in the bundle", name=name)
sys.meta_path.insert(0, Absent())
for handler in sys.argv[3:]:
    importlib.import_module(handler).handler
"""


def _elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(11) + machine.to_bytes(2, "little") + bytes(40)


def _wheel(tree: Path, *tags: str) -> None:
    folder = tree / "thing-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))


@pytest.mark.parametrize("bundle", Bundle)
def test_a_bundle_holds_all_that_its_functions_import(bundle: Bundle) -> None:
    """A library of another bundle is found by every test of the function, and missing at its first call."""
    handlers = [each.handler for each in FUNCTIONS if each.bundle is bundle]
    assert handlers, "a bundle without a function is not needed"
    environment = target("amd64").environment()
    held = " ".join(pin.name for pin in read(FOLDER / f"bundle-{bundle}.txt") if pin.needed(environment))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, held, " ".join(LEFT_OUT), *handlers],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_heavy_libraries_are_where_they_are_needed_alone() -> None:
    """Pyarrow is in the lake's bundle, the solvers in that of market, grid and forecasts."""
    held = {bundle: {pin.name for pin in read(FOLDER / f"bundle-{bundle}.txt")} for bundle in Bundle}
    assert {bundle for bundle in Bundle if "pyarrow" in held[bundle]} == {Bundle.LAKE}
    assert {bundle for bundle in Bundle if {"highspy", "power-grid-model"} & held[bundle]} == {Bundle.SOLVERS}
    assert not any({"typer", "rich", "pytest"} & names for names in held.values())
    versions = {(pin.name, pin.marker): pin.version for pin in read(FOLDER / "dev.txt")}
    for bundle in Bundle:
        for pin in read(FOLDER / f"bundle-{bundle}.txt"):
            assert versions.get((pin.name, pin.marker), pin.version) == pin.version, (
                "what is deployed is what is tested"
            )


@pytest.mark.parametrize("arch", ARCHS)
def test_a_library_for_another_processor_is_refused(tmp_path: Path, arch: str) -> None:
    """On the wrong processor it fails at the first import, in production."""
    machines = {"arm64": 183, "amd64": 62}
    (tmp_path / "right.so").write_bytes(_elf(machines.pop(arch)))
    assert judge(tmp_path, target(arch)).native_libraries == 1
    (tmp_path / "wrong.so").write_bytes(_elf(next(iter(machines.values()))))
    with pytest.raises(BuildError, match=r"wrong\.so is for machine"):
        judge(tmp_path, target(arch))


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        (["py3-none-any"], True),
        (["py2.py3-none-any"], True),
        (["cp313-cp313-manylinux_2_28_aarch64"], True),
        (["cp39-abi3-manylinux_2_34_aarch64"], True),
        (["cp313-cp313-manylinux2014_aarch64", "cp313-cp313-manylinux_2_17_aarch64"], True),
        (["cp313-cp313-manylinux_2_28_x86_64"], False),
        (["cp312-cp312-manylinux_2_28_aarch64"], False),
        (["cp314-abi3-manylinux_2_28_aarch64"], False),
        (["cp313-cp313-manylinux_2_35_aarch64"], False),
        (["cp313-cp313-musllinux_1_2_aarch64"], False),
    ],
)
def test_a_wheel_that_the_runtime_would_not_take_is_refused(tmp_path: Path, tags: list[str], fits: bool) -> None:
    """Another Python, a newer C library or another one: pip would not install it there."""
    _wheel(tmp_path, *tags)
    if fits:
        judge(tmp_path, ARM)
        return
    with pytest.raises(BuildError, match=r"thing-1\.0\.dist-info is for"):
        judge(tmp_path, ARM)


def test_a_bundle_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda refuses it too, but only when it is deployed."""
    monkeypatch.setattr(judging, "UNZIPPED_BYTES_MAX", 1000)
    (tmp_path / "data").write_bytes(bytes(1000))
    assert judge(tmp_path, INTEL).unzipped_bytes == 1000
    (tmp_path / "more").write_bytes(b"1")
    with pytest.raises(BuildError, match="1001 bytes unzipped, above 1000"):
        judge(tmp_path, INTEL)


def test_a_zip_depends_on_its_content_alone(tmp_path: Path) -> None:
    """Neither the order in which files were made, nor their times and modes, are in it."""
    for name, order in (("one", "abc"), ("two", "cab")):
        for letter in order:
            path = tmp_path / name / letter / "module.py"
            path.parent.mkdir(parents=True)
            path.write_text(letter)
        (tmp_path / name / "a/module.py").chmod(0o600 if name == "one" else 0o755)
        os.utime(tmp_path / name / "b/module.py", (0, 1_000_000_000 if name == "one" else 1_500_000_000))
        write_zip(tmp_path / name, tmp_path / f"{name}.zip", at_s=1_790_000_000)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
