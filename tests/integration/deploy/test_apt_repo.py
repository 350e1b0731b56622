"""The signed repository with a real apt: it installs what was signed, for the right Debian, and nothing else."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.deploy.apt_repo import KEY_FILE, main

VERSION = "1.2.0"


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A signing key in a key ring of its own."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    name = "sitewatt test <test@sitewatt.example>"
    make = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "1d"]
    subprocess.run(make, check=True, capture_output=True)
    yield "test@sitewatt.example"
    subprocess.run(["gpgconf", "--kill", "all"], check=True)


def package(folder: Path, version: str) -> Path:
    """Make a package with nothing in it."""
    root = folder / f"root-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: sitewatt\nVersion: {version}\nArchitecture: amd64\nMaintainer: test <test@sitewatt.example>\n"
        "Description: a test\n of two lines\n"
    )
    built = folder / f"sitewatt_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(root), str(built)], check=True, capture_output=True
    )
    built.with_name(built.name + ".cdx.json").write_text("{}")
    return built


class Apt:
    """An apt with folders of its own that knows one repository."""

    def __init__(self, folder: Path, repository: Path, *, suite: str, key_file: Path) -> None:
        self._folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        source = f"deb [signed-by={key_file} arch=amd64] file://{repository} {suite} main\n"
        (folder / "etc/sources.list").write_text(source)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run apt-get in the folder."""
        options = {
            "Dir::State": self._folder / "state",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Dir::Etc::sourcelist": self._folder / "etc/sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
        }
        told = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["apt-get", *told, *arguments],
            check=False,
            cwd=self._folder,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=60,
        )


@pytest.fixture
def repository(tmp_path: Path, key: str) -> Path:
    """A repository of two packages, for two Debians."""
    made = [package(tmp_path, f"{VERSION}+py{python}") for python in ("311", "313")]
    assert main(["--key", key, "--out", str(tmp_path / "apt"), *map(str, made)]) == 0
    return tmp_path / "apt"


@pytest.mark.parametrize(("suite", "python"), [("bookworm", "311"), ("trixie", "313")])
def test_apt_takes_the_package_of_its_debian(repository: Path, tmp_path: Path, suite: str, python: str) -> None:
    """The newer version string is of a Python that the older Debian does not have."""
    apt = Apt(tmp_path / "root", repository, suite=suite, key_file=repository / KEY_FILE)
    updated = apt.run("update")
    assert updated.returncode == 0, updated.stderr
    fetched = apt.run("download", "sitewatt")
    assert fetched.returncode == 0, fetched.stderr
    (got,) = (tmp_path / "root").glob("*.deb")
    name = f"sitewatt_{VERSION}+py{python}_amd64.deb"
    assert got.read_bytes() == (repository / "pool/main" / name).read_bytes()
    assert (repository / "pool/main" / f"{name}.cdx.json").exists()


def test_apt_refuses_another_key_and_a_changed_list(repository: Path, tmp_path: Path) -> None:
    """A mirror that was taken over can serve no package of its own."""
    other = tmp_path / "other.asc"
    make = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "other@sitewatt.example", "ed25519", "sign", "1d"]
    subprocess.run(make, check=True, capture_output=True)
    exported = subprocess.run(["gpg", "--armor", "--export", "other@sitewatt.example"], check=True, capture_output=True)
    other.write_bytes(exported.stdout)
    strange = Apt(tmp_path / "strange", repository, suite="bookworm", key_file=other).run("update")
    assert strange.returncode != 0
    assert "NO_PUBKEY" in strange.stderr
    for name in ("Packages", "Packages.gz"):
        with (repository / "dists/bookworm/main/binary-amd64" / name).open("ab") as file:
            file.write(b"\nPackage: evil\n")
    changed = Apt(tmp_path / "changed", repository, suite="bookworm", key_file=repository / KEY_FILE).run("update")
    assert changed.returncode != 0


def test_a_package_of_no_known_debian_is_not_signed(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that no Debian can install would only be found out on a gateway."""
    assert main(["--key", key, "--out", str(tmp_path / "apt"), str(package(tmp_path, "1.0+py310"))]) == 1
    assert "of no known Debian" in capsys.readouterr().err
    assert not (tmp_path / "apt/dists").exists()
