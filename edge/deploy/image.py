"""Makes an OCI image without a container engine: ``python -m edge.deploy.image [--of gateway|cloud] [--out dist]``.

A Debian is made by debootstrap, the locked wheels are unpacked into it as into the Debian package, and the whole
becomes one layer in an OCI archive (``podman load``, ``skopeo copy oci-archive:…``). It needs root, for debootstrap,
and makes images for this machine's own architecture. Debian's part depends on the day, ours on the lock.

Source: OCI Image Format Specification 1.1, image layout, manifest and configuration.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.deploy.build_deb import Target, install_wheels, lay_out_environment, this_arch
from edge.deploy.lock import FOLDER, LockError, read
from edge.deploy.source_tree import BuildError, epoch_s, project, run

SUITE: Final = "bookworm"
PYTHON: Final = "3.11"  # The suite's.
USER: Final = "sitewatt"
STATE: Final = "/var/lib/sitewatt"
_PACKAGES: Final = ("python3", "ca-certificates", "libstdc++6", "tzdata")
# What an image must not carry along: packages that are installed, lists that grow old, logs, and the builder's devices.
_LEFT_OUT: Final = ("var/cache/apt", "var/lib/apt/lists", "var/log", "dev", "proc", "sys", "tmp", "run")
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an image runs: the set of the lock, Debian packages besides, the command and the ports it listens on."""

    lock: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    ports: tuple[int, ...]


_RUN: Final = ("/opt/sitewatt/bin/python3", "-I", "-m")
KINDS: Final[Mapping[str, Kind]] = {
    "gateway": Kind(
        lock="gateway.txt",
        packages=(),
        command=(*_RUN, "edge", "run", "--config", "/etc/sitewatt/site.yaml"),
        ports=(8080, 8443),
    ),
    "cloud": Kind(
        lock="demo.txt",
        packages=("mosquitto",),
        command=(*_RUN, "sitewatt", "cloud", "local", "--config", "/etc/sitewatt/cloud.yaml"),
        ports=(8883, 8884),
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Build an image and print its path; 0 built, 1 a tool failed."""
    parser = argparse.ArgumentParser(prog="python -m edge.deploy.image", description="Build an OCI image.")
    parser.add_argument("--of", choices=sorted(KINDS), default="gateway", help="what it runs")
    parser.add_argument("--mirror", default=None, help="archive of Debian packages; default: this machine's")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder of the image")
    options = parser.parse_args(arguments)
    try:
        built = build(options.of, out=options.out, mirror=options.mirror)
    except (BuildError, LockError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{built}\n")
    return 0


def build(name: str, *, out: Path, mirror: str | None = None) -> Path:
    """Build the image of a kind from an archive of Debian packages, by default this machine's, and return its file.

    Raises:
        BuildError: A tool is missing or failed, or this is not root.
        LockError: The lock cannot be read.
    """
    kind, at_s = KINDS[name], epoch_s()
    target = Target(arch=this_arch(), python=PYTHON)
    version = str(project()["project"]["version"])
    with tempfile.TemporaryDirectory(prefix="sitewatt-image-") as folder:
        root = Path(folder) / "root"
        _debian(root, kind, mirror or archive_of_apt())
        pins = [pin for pin in read(FOLDER / kind.lock) if pin.needed(target.environment())]
        install_wheels(target, pins, root / target.site_packages, Path(folder), at_s=at_s)
        lay_out_environment(target, root)
        run(["chroot", str(root), "useradd", "--system", "--create-home", f"--home-dir={STATE}", USER])
        (root / "etc/sitewatt").mkdir(parents=True)
        out.mkdir(parents=True, exist_ok=True)
        image = out / f"sitewatt-{name}_{version}_{target.arch}.oci.tar"
        pack(root, image, kind=kind, arch=target.arch, reference=f"sitewatt-{name}:{version}", at_s=at_s)
    return image


def pack(root: Path, image: Path, *, kind: Kind, arch: str, reference: str, at_s: int) -> None:
    """Write a folder as an OCI archive of one layer."""
    with tempfile.TemporaryDirectory(prefix="sitewatt-oci-", dir=image.parent) as folder:
        layout = Path(folder)
        blobs = layout / "blobs/sha256"
        blobs.mkdir(parents=True)
        layer, diff_id = _layer(root, blobs, at_s=at_s)
        made_at = datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
        config = {
            "created": made_at,
            "architecture": arch,
            "os": "linux",
            "config": {
                "User": USER,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"],
                "Cmd": list(kind.command),
                "WorkingDir": STATE,
                "Volumes": {STATE: {}},
                "ExposedPorts": {f"{port}/tcp": {} for port in kind.ports},
                "StopSignal": "SIGTERM",
            },
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": made_at, "created_by": "python -m edge.deploy.image"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _blob(blobs, config, _CONFIG),
            "layers": [layer],
        }
        entry = {
            **_blob(blobs, manifest, _MANIFEST),
            "platform": {"architecture": arch, "os": "linux"},
            "annotations": {"org.opencontainers.image.ref.name": reference},
        }
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]}
        (layout / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}), encoding="utf-8")
        with image.open("wb") as file:
            _tar(layout, file, at_s=at_s, left_out=(), owned_by_root=True)


def archive_of_apt() -> str:
    """Return the archive that this machine's own apt installs from.

    Raises:
        BuildError: There is no apt here, or it names none.
    """
    places = run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"])
    found = next((line for line in places.splitlines() if line.startswith("http")), None)
    if found is None:
        raise BuildError("apt on this machine names no archive, so no clean Debian can be made from it; use --mirror")
    return found


def _debian(root: Path, kind: Kind, mirror: str) -> None:
    tool = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if tool is None:
        raise BuildError("debootstrap is not installed, so no image can be made; Debian has it as debootstrap")
    if os.geteuid() != 0:
        raise BuildError("only root can run debootstrap, so no image can be made; run this as root")
    packages = ",".join((*_PACKAGES, *kind.packages))
    run([tool, "--variant=minbase", f"--include={packages}", SUITE, str(root), mirror])


def _layer(root: Path, blobs: Path, *, at_s: int) -> tuple[dict[str, Any], str]:
    """Write the layer, and return its descriptor and the digest of what it unpacks to."""
    plain = hashlib.sha256()
    path = blobs / "layer"

    class _Both:
        """Writes through the digest into the packed file."""

        def __init__(self, packed: gzip.GzipFile) -> None:
            self._packed = packed

        def write(self, data: bytes) -> int:
            plain.update(data)
            return self._packed.write(data)

    with (
        path.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=6) as packed,
    ):
        _tar(root, _Both(packed), at_s=at_s, left_out=_LEFT_OUT, owned_by_root=False)
    return _named(blobs, path, _LAYER), f"sha256:{plain.hexdigest()}"


def _tar(folder: Path, file: Any, *, at_s: int, left_out: tuple[str, ...], owned_by_root: bool) -> None:
    """Write a folder in the order of its names; no stamp is later than the commit's, and no name of a user is kept."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = min(int(member.mtime), at_s)
        member.uname = member.gname = ""
        if owned_by_root:
            member.uid = member.gid = 0
        return member

    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not any(name.startswith(f"{prefix}/") for prefix in left_out):
                archive.add(path, arcname=name, recursive=False, filter=kept)


def _blob(blobs: Path, value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    path = blobs / "blob"
    path.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
    return _named(blobs, path, media_type)


def _named(blobs: Path, path: Path, media_type: str) -> dict[str, Any]:
    """Give a blob its digest for a name, and return its descriptor."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.rename(blobs / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": (blobs / digest).stat().st_size}


if __name__ == "__main__":
    sys.exit(main())
