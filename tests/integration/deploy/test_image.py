"""The OCI images, made without a container engine: each part has the digest that it is named by, and they run."""

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edge.deploy.image import KINDS, build
from tests.support.rigs.debian_root import DebianRoot

pytestmark = pytest.mark.nightly

SAFETY_S = 300.0
SITE = """\
site: {id: farm, zone: east, agent: producer}
state_dir: /var/lib/sitewatt
connection: {meter: meter, import_limit_w: 17250, export_limit_w: 9000}
devices:
- {id: meter, profile: eastron_sdm630, url: "tcp://127.0.0.1:9?unit=1", role: meter}
"""


@pytest.fixture(scope="module", params=sorted(KINDS))
def unpacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DebianRoot, dict[str, Any]]:
    """Build an image, follow its digests from the index to the layer, and unpack that."""
    folder = tmp_path_factory.mktemp(request.param)
    image = build(request.param, out=folder)
    layout, root = folder / "layout", folder / "root"
    with tarfile.open(image) as archive:
        archive.extractall(layout, filter="data")
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(layout, entry))
    config = json.loads(blob(layout, manifest["config"]))
    (layer,) = manifest["layers"]
    packed = blob(layout, layer)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"]
    root.mkdir()
    subprocess.run(["tar", "-xzf", "-", "-C", root, "--numeric-owner"], input=packed, check=True)
    return DebianRoot(root), config


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    """Return what a descriptor names, which has its size and digest."""
    name: str = descriptor["digest"].removeprefix("sha256:")
    data: bytes = (layout / "blobs/sha256" / name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (descriptor["size"], name)
    return data


def as_in_an_engine(root: DebianRoot, *command: str) -> list[str]:
    """Return the command that runs one beside the ``/proc`` and ``/dev`` that an engine gives a container."""
    way = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", way, str(root.folder), *command]


def test_its_command_runs_as_its_user_with_what_is_mounted_there(unpacked: tuple[DebianRoot, dict[str, Any]]) -> None:
    """An engine does no more than this: unpack, mount the settings, become the user, start the command."""
    root, config = unpacked
    command = config["config"]["Cmd"]
    as_user = (
        "setpriv",
        f"--reuid={config['config']['User']}",
        f"--regid={config['config']['User']}",
        "--clear-groups",
    )
    assert "Edge controller" in root.run(*as_user, "sitewatt", "--help")
    assert root.run("stat", "-c", "%U", "/var/lib/sitewatt").strip() == "sitewatt"
    if "edge" not in command:
        assert "mosquitto" in root.run("sh", "-c", "command -v mosquitto || ls /usr/sbin/mosquitto")
        told = root.run(*as_user, *command, code=2)
        assert "/etc/sitewatt/cloud.yaml" in told, "it asks for its settings in a sentence"
        return
    root.path("/etc/sitewatt/site.yaml").write_text(SITE)
    errors = root.path("/tmp/log") if root.path("/tmp").exists() else root.folder / "log"
    with (
        errors.open("w") as says,
        subprocess.Popen(
            as_in_an_engine(root, *as_user, *command), stdout=subprocess.PIPE, stderr=says, text=True
        ) as gateway,
    ):
        assert gateway.stdout is not None
        try:
            assert json.loads(gateway.stdout.readline())["ready"] is True
        finally:
            gateway.terminate()
            gateway.wait(SAFETY_S)
    assert "Traceback" not in errors.read_text(encoding="utf-8")
    assert root.path("/var/lib/sitewatt/control.db").exists()
    shutil.rmtree(root.folder)
