"""Everything that is installed is one known file: the lock is of this project, exact, hashed, of no one registry."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge.deploy import lock, sbom
from edge.deploy.build_deb import Target
from edge.deploy.lock import FOLDER, SETS, Pin, faults, read
from edge.deploy.source_tree import project

EPOCH_S = 1_790_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the lock to break."""
    return shutil.copytree(FOLDER, tmp_path / "requirements")


def _break(folder: Path, old: str, new: str, *, name: str = "gateway") -> None:
    path = folder / f"{name}.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_lock_is_of_this_project() -> None:
    """What a developer adds to pyproject.toml is not installed until it is locked."""
    assert faults(FOLDER, project()) == []


def test_a_changed_dependency_is_noticed(folder: Path) -> None:
    """Without the digest a new dependency would be found missing only at a user's."""
    described = project()
    described["project"]["optional-dependencies"]["edge"].append("left-pad>=1")
    found = faults(folder, described)
    assert sum("made from another pyproject.toml" in fault for fault in found) == len(SETS)
    assert any("does not hold left-pad>=1 (it has none)" in fault for fault in found)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("aiomqtt==", "aiomqtt>=", "is not one exact version with its hashes"),
        ("\naiomqtt==", "\nleft-pad==1.0\naiomqtt==", "is not one exact version with its hashes"),
        ("aiomqtt==2", "aiomqtt==1", "does not hold aiomqtt"),
        ("\naiomqtt==", "\n--index-url https://registry.example/simple\naiomqtt==", "names an address"),
    ],
)
def test_a_lock_that_does_not_hold_is_refused(folder: Path, old: str, new: str, told: str) -> None:
    """One loose line lets any file in."""
    _break(folder, old, new)
    found = faults(folder, project())
    assert any(told in fault for fault in found), found


def test_a_missing_lock_is_named(folder: Path) -> None:
    """With the command that makes it."""
    (folder / "demo.txt").unlink()
    assert any("demo.txt is missing; make lock makes it" in fault for fault in faults(folder, project()))


def _needed(arch: str, python: str) -> dict[str, Pin]:
    environment = Target(arch=arch, python=python).environment()
    return {pin.name: pin for pin in read(FOLDER / "gateway.txt") if pin.needed(environment)}


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_a_package_holds_what_a_gateway_needs_once_and_no_cloud(arch: str, python: str) -> None:
    """Markers are answered for the target: the machine that builds may run another Python."""
    pins = _needed(arch, python)
    assert {"pydantic", "pymodbus", "aiomqtt", "awsiotsdk", "cryptography", "numpy", "highspy"} <= pins.keys()
    assert not {"boto3", "pyarrow", "colorama", "pytest"} & pins.keys()
    chosen = [pin for pin in read(FOLDER / "gateway.txt") if pin.needed(Target(arch=arch, python=python).environment())]
    assert len(chosen) == len(pins)


def test_the_list_of_parts_names_each_library_with_its_files() -> None:
    """Who hears of a weakness asks which gateways carry the library."""
    pins = tuple(_needed("arm64", "3.11").values())
    told = json.loads(sbom.text("sitewatt.deb", version="1", pins=pins, epoch_s=EPOCH_S))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    named = {component["purl"]: component for component in told["components"]}
    assert len(named) == len(pins)
    assert told["dependencies"][0]["dependsOn"] == list(named)
    assert told["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    assert all(_hashes(component) for component in named.values())
    assert {hash_ for component in named.values() for hash_ in _hashes(component)} == {
        hash_ for pin in pins for hash_ in pin.hashes
    }


def test_the_same_parts_give_the_same_list_byte_by_byte() -> None:
    """A list that differs with each build proves nothing; another version gives another serial number."""
    pins = tuple(_needed("arm64", "3.11").values())
    first = sbom.text("sitewatt.deb", version="1", pins=pins, epoch_s=EPOCH_S)
    assert sbom.text("sitewatt.deb", version="1", pins=reversed(pins), epoch_s=EPOCH_S) == first
    other = sbom.document("sitewatt.deb", version="2", pins=pins, epoch_s=EPOCH_S)
    assert other["serialNumber"] != json.loads(first)["serialNumber"]


def test_the_command_says_what_is_wrong_and_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``make check`` stops at it."""
    assert lock.main(["check"]) == 0
    monkeypatch.setattr(lock, "FOLDER", folder)
    _break(folder, "sha256:", "sha256:0", name="dev")
    assert lock.main(["check"]) == 1
    assert "dev.txt was made from another pyproject.toml" in capsys.readouterr().err


def _hashes(component: dict[str, Any]) -> list[str]:
    return [one["content"] for file in component["externalReferences"] for one in file["hashes"]]
