"""``sitewatt cloud local --tls`` gives a developer a whole private cloud, fleet included."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from tests.support.brokers.link_parts import until
from tests.support.cloud.sites import write_config


async def test_a_private_cloud_takes_in_a_gateway_by_claim(tmp_path: Path) -> None:
    """From an empty folder to a gateway with a certificate of its own, by three commands."""
    plain, tls = _free_port(), _free_port()
    config = write_config(tmp_path, port=plain)
    _leave_open(tmp_path / "cloud")
    cloud = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sitewatt", "cloud", "local", "--config", str(config), "--tls", "--tls-port", str(tls),
        "--json", stdout=asyncio.subprocess.PIPE, preexec_fn=_hear_ctrl_c,
    )  # fmt: skip
    try:
        assert cloud.stdout is not None
        async with asyncio.timeout(60):
            ready = json.loads(await cloud.stdout.readline())
        assert ready["broker"]["tls_port"] == tls
        local = ["--local", str(tmp_path / "cloud")]
        claim, identity = str(tmp_path / "claim"), str(tmp_path / "identity")
        of = ["--serial", "sn-1", "--site", "site-1", "--zone", "zone-1"]
        made = await _fleet("claim", "create", *of, "--out", claim, *local)
        assert made["site"] == "site-1"
        rules = tmp_path / "cloud" / "fleet" / "acl"
        await until(lambda: made["certificate_id"] in rules.read_text())
        where = ["--endpoint", f"mqtts://localhost:{tls}", "--claim-dir", claim, "--state", identity]
        assert (await _fleet("provision", *where))["thing"] == "site-1"
        assert _open_to_others(tmp_path / "cloud") == {}
        assert [one["name"] for one in (await _fleet("list", *local))["gateways"]] == ["site-1"]
    finally:
        cloud.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await cloud.wait()


async def _fleet(*arguments: str) -> dict[str, Any]:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sitewatt", "fleet", *arguments, "--json", stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, _ = await done.communicate()
    assert done.returncode == 0, out
    return dict(json.loads(out))


def _leave_open(folder: Path) -> None:
    """Make what an older version left: files and folders that everybody of the machine may read."""
    (folder / "fleet" / "authority").mkdir(parents=True)
    for name in ("tables.db", "streams.db", "fleet/fleet.db"):
        (folder / name).touch()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _open_to_others(folder: Path) -> dict[str, str]:
    """Return what others of this machine could use, with its mode; what stands in a private folder is private."""
    modes = {path: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*.db*"), *folder.rglob("*.key"))}
    folders = {path: path.stat().st_mode & 0o777 for path in (folder / "fleet", folder / "fleet" / "authority")}
    return {str(path): f"{mode:o}" for path, mode in (modes | folders).items() if mode & 0o077}


def _hear_ctrl_c() -> None:
    """Let SIGINT do what it does at a terminal, also where the tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0)  # The kindest to others that it can be.


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
