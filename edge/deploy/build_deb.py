"""Builds the gateway's Debian package: ``python -m edge.deploy.build_deb [--arch arm64] [--python 3.11]``.

The package carries its own environment under ``/opt/sitewatt``, unpacked at build time from the wheels of the lock
(``requirements/gateway.txt``), which are taken by their hashes; what it is made of is written beside it. Two builds of
one commit are the same byte by byte. Installing it needs no network, no compiler and no pip on the gateway, and an
unpacked file is a proven file. Parts of it are compiled (pydantic-core, cryptography, numpy, highspy, awscrt), so there
is one package for each architecture and each Python of Debian (3.11 is Debian 12, 3.13 is Debian 13), and none for
``all``. Wheels for another architecture are fetched as they are; nothing is built across.
"""

import argparse
import gzip
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.deploy import sbom
from edge.deploy.lock import FOLDER, LockError, Pin, read
from edge.deploy.source_tree import ROOT, BuildError, build_wheel, epoch_s, project, run

# Debian's name of an architecture to the wheels'. Debian 12 has glibc 2.36, and runs wheels made for anything older.
WHEEL_ARCH = {"arm64": "aarch64", "amd64": "x86_64"}
GLIBC_MINOR_MAX = 36
PYTHONS = ("3.11", "3.12", "3.13")
# The gateway, and its two processes: each is watched and started again alone.
UNITS = ("sitewatt.service", "sitewatt-control.service", "sitewatt-site.service")
_SCRIPTS = ("postinst", "prerm", "postrm")
_MAINTAINER = "sitewatt developers <sitewatt@localhost.localdomain>"
_LAUNCHER = """\
#!/opt/sitewatt/bin/python3 -I
import sys

from sitewatt.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a package is for: Debian's name of the processor, the Python that it runs on, and its glibc, 2.x."""

    arch: str
    python: str
    glibc_minor: int = GLIBC_MINOR_MAX

    @property
    def site_packages(self) -> str:
        """Return the path of the installed modules below the root."""
        return f"opt/sitewatt/lib/python{self.python}/site-packages"

    def environment(self) -> dict[str, str]:
        """Return what a requirement's marker asks about, for this target and not for the machine that builds."""
        full = f"{self.python}.0"
        return {
            "python_version": self.python,
            "python_full_version": full,
            "implementation_name": "cpython",
            "implementation_version": full,
            "platform_python_implementation": "CPython",
            "platform_machine": WHEEL_ARCH[self.arch],
            "platform_system": "Linux",
            "platform_release": "",
            "platform_version": "",
            "sys_platform": "linux",
            "os_name": "posix",
        }

    def pip_options(self) -> Iterator[str]:
        """Yield what makes pip fetch for this target, whatever machine it runs on.

        Source: PEP 600, a platform runs wheels of every older glibc.
        """
        machine = WHEEL_ARCH[self.arch]
        for minor in range(self.glibc_minor, 16, -1):
            yield f"--platform=manylinux_2_{minor}_{machine}"
        yield f"--platform=manylinux2014_{machine}"
        yield from (f"--python-version={self.python}", "--implementation=cp", "--only-binary=:all:")


def this_arch() -> str:
    """Return Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).strip()


def main(arguments: list[str] | None = None) -> int:
    """Build a package and print its path; 0 built, 1 a tool failed."""
    parser = argparse.ArgumentParser(prog="python -m edge.deploy.build_deb", description="Build the Debian package.")
    parser.add_argument("--arch", choices=sorted(WHEEL_ARCH), default="arm64", help="Debian's architecture")
    parser.add_argument("--python", choices=PYTHONS, default="3.11", help="Python of the target: 3.11 is Debian 12")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder of the package")
    options = parser.parse_args(arguments)
    try:
        built = build(Target(arch=options.arch, python=options.python), out=options.out)
    except (BuildError, LockError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{built}\n")
    return 0


def build(target: Target, *, out: Path) -> Path:
    """Build the package of a target and return its file.

    Raises:
        BuildError: A wheel is missing for the target, or a tool failed.
        LockError: The lock cannot be read.
    """
    at_s = epoch_s()
    version = f"{project()['project']['version']}+py{target.python.replace('.', '')}"
    with tempfile.TemporaryDirectory(prefix="sitewatt-deb-") as folder:
        root = Path(folder) / "root"
        pins = [pin for pin in read(FOLDER / "gateway.txt") if pin.needed(target.environment())]
        package = out / f"sitewatt_{version}_{target.arch}.deb"
        install_wheels(target, pins, root / target.site_packages, Path(folder), at_s=at_s)
        _lay_out(target, root, at_s=at_s)
        parts = sbom.text(package.name, version=version, pins=pins, epoch_s=at_s)
        _put(root / "usr/share/doc/sitewatt/sbom.cdx.json", parts)
        _write_control(target, root, version)
        set_modes(root)
        out.mkdir(parents=True, exist_ok=True)
        # Owned by root whoever builds. Debian 12 is the first whose dpkg unpacks zstd, and four times as fast as xz.
        run(["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(root), str(package)], epoch=at_s)
        sbom.write_beside(package, version=version, pins=pins, epoch_s=at_s)
    return package


def install_wheels(target: Target, pins: Iterable[Pin], site_packages: Path, folder: Path, *, at_s: int) -> None:
    """Unpack the locked wheels and our own into a folder of modules, for a target that may be another machine.

    Raises:
        BuildError: A wheel is missing for the target, or has another hash.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = build_wheel(folder / "wheels", at_s=at_s, work=folder)
    locked = folder / "locked.txt"
    locked.write_text("".join(f"{pin.line()}\n" for pin in pins), encoding="utf-8")
    fetch = [*pip, "install", "--no-compile", "--no-deps", "--upgrade", f"--target={site_packages}"]
    run([*fetch, *target.pip_options(), "--require-hashes", f"--requirement={locked}"])
    run([*fetch, *target.pip_options(), str(wheel)])
    _forget_where_from(site_packages)
    # Scripts of libraries would stand on nobody's path; their tests would be compiled on every gateway.
    shutil.rmtree(site_packages / "bin", ignore_errors=True)
    for tests in [path for path in (site_packages / "numpy").rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests)


def _forget_where_from(site_packages: Path) -> None:
    """Remove the note of the folder that our wheel was built in: it differs with each build."""
    for note in site_packages.glob("sitewatt-*.dist-info/direct_url.json"):
        record = note.with_name("RECORD")
        kept = [line for line in record.read_text().splitlines() if "direct_url.json" not in line]
        record.write_text("\n".join(kept) + "\n")
        note.unlink()


def set_modes(root: Path) -> None:
    """Give everything the modes that it has for everybody, whatever the umask of the builder is."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def lay_out_environment(target: Target, root: Path) -> None:
    """Make the environment around the modules, and the command."""
    home = root / "opt/sitewatt"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to(f"/usr/bin/python{target.python}")
    # With this file beside its bin folder, that Python is an environment of its own. Source: PEP 405.
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {target.python}\n"
    )
    _put(root / "opt/sitewatt/bin/sitewatt", _LAUNCHER, mode=0o755)
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/bin/sitewatt").symlink_to("/opt/sitewatt/bin/sitewatt")


def _lay_out(target: Target, root: Path, *, at_s: int) -> None:
    """Put everything but the modules where Debian wants it."""
    lay_out_environment(target, root)
    shipped = files("edge.deploy") / "files"
    for name, where in (
        *((unit, f"lib/systemd/system/{unit}") for unit in UNITS),
        ("watchdog.conf", "usr/lib/systemd/system.conf.d/50-sitewatt-watchdog.conf"),
        ("journald.conf", "usr/share/doc/sitewatt/examples/journald.conf"),
        ("site.yaml", "etc/sitewatt/site.yaml"),
    ):
        _put(root / where, (shipped / name).read_text(encoding="utf-8"))
    documents = root / "usr/share/doc/sitewatt"
    _put(documents / "copyright", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    _put(documents / "operations.md", (ROOT / "docs/operations.md").read_text(encoding="utf-8"))
    with gzip.GzipFile(documents / "changelog.gz", "wb", mtime=0) as packed:
        packed.write((ROOT / "CHANGELOG.md").read_bytes())


def _write_control(target: Target, root: Path, version: str) -> None:
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    size_kib = sum(path.stat().st_size for path in paths) // 1024
    control = root / "DEBIAN"
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in paths)
    _put(control / "md5sums", sums)
    _put(control / "conffiles", "/etc/sitewatt/site.yaml\n")
    _put(control / "control", control_text(target, version=version, size_kib=size_kib))
    for name in _SCRIPTS:
        text = (files("edge.deploy") / "debian" / name).read_text(encoding="utf-8")
        _put(control / name, text, mode=0o755)


def control_text(target: Target, *, version: str, size_kib: int) -> str:
    """Return the package's description. Source: Debian Policy, chapter 5."""
    return f"""\
Package: sitewatt
Version: {version}
Architecture: {target.arch}
Maintainer: {_MAINTAINER}
Installed-Size: {size_kib}
Depends: python{target.python}, adduser, init-system-helpers, libstdc++6
Recommends: systemd, systemd-timesyncd | time-daemon, ca-certificates
Section: misc
Priority: optional
Description: edge controller for energy sites, with a link to a cloud market
 Reads the inverters, batteries and meters of one site over Modbus, keeps the
 site inside its limits, executes demand-response commands and trades the
 site's energy over MQTT.
"""


def _put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


if __name__ == "__main__":
    sys.exit(main())
