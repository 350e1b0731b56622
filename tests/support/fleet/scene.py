"""A private cloud, one simulated home, and a gateway that is started as the service manager starts it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from edge.errors import StatusUnavailable
from edge.fleet.update import launch
from edge.site.status import ask_status
from firmware_sim.plant_config import DeviceConfig, DeviceKind, PlantConfig, PlantSite
from sitewatt.commands.fleet import app
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import background, until
from tests.support.cloud.sites import ZONE, write_config

SITE = "home-1"
READY_S = 60.0
SHIPPED = ("contracts", "domain", "device_profiles", "tariffs", "edge")
ROOT = Path(__file__).resolve().parents[3]
_BROKEN = """

async def run_control(*_: object, **__: object) -> None:
    from edge.errors import ConfigError

    raise ConfigError("a key of before is not known any more")
"""


async def fleet(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """Run ``sitewatt fleet`` for programs and return its answer."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [*map(str, arguments), "--json"])
    assert result.exit_code == exit_code, result.output
    return dict(json.loads(result.stdout))


def wheel(folder: Path, version: str, *, broken: bool = False) -> Path:
    """Pack this very software under another version; a broken one starts, and refuses the site's configuration."""
    path = folder / f"{version}.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for package in SHIPPED:
            for file in (ROOT / package).rglob("*"):
                if file.is_file() and "__pycache__" not in file.parts:
                    spoilt = broken and file == ROOT / "edge/site/control_process.py"
                    packed.writestr(
                        str(file.relative_to(ROOT)), file.read_bytes() + (_BROKEN.encode() if spoilt else b"")
                    )
        told = f"Metadata-Version: 2.1\nName: sitewatt\nVersion: {version}\n"
        packed.writestr(f"sitewatt-{version}.dist-info/METADATA", told)
    return path


@dataclass
class Service:
    """The gateway under a manager that starts it again whenever it has ended, but not with a bad configuration."""

    folder: Path
    clock: str
    ends: list[int] = field(default_factory=list)
    pid: int = 0

    @property
    def software(self) -> Path:
        """Return where versions are."""
        return self.folder / "state" / "software"

    def status(self) -> dict[str, Any] | None:
        """Return what the gateway says of itself, ``None`` while it does not answer."""
        try:
            return ask_status(self.folder / "state")
        except StatusUnavailable:
            return None

    async def until_status(self, what: str, holds: Any) -> dict[str, Any]:
        """Wait until the status says something, and return it."""
        said: dict[str, Any] = {}

        def told() -> bool:
            nonlocal said
            said = self.status() or {}
            return bool(said) and bool(holds(said))

        try:
            await until(told, timeout_s=READY_S)
        except TimeoutError as error:
            raise AssertionError(f"never seen: {what}; last {said}, ends {self.ends}") from error
        return said

    def runs_from(self) -> str | None:
        """Return the version whose environment runs, ``None`` for the packaged one."""
        command = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        versions = str(self.software / "versions").encode()
        return launch.current(self.software) if command[0].startswith(versions) else None

    async def run(self) -> None:
        """Keep it running until cancelled."""
        arguments = ["run", "--config", str(self.folder / "site.yaml"), "--clock", self.clock]
        command = [sys.executable, "-m", "edge.fleet.update.launch", str(self.software), *arguments]
        while 2 not in self.ends:
            with (self.folder / "gateway.log").open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *command, "--parent-pid", str(os.getpid()), stdout=log, stderr=log, cwd=self.folder
                )
            self.pid = process.pid
            try:
                self.ends.append(await process.wait())
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise


@dataclass(kw_only=True)
class Scene:
    """Everything that runs."""

    folder: Path
    service: Service
    local: tuple[object, ...]
    home_pid: int


@contextlib.asynccontextmanager
async def scene(folder: Path, *, clock: str, update_key: str) -> AsyncIterator[Scene]:
    """Run a cloud and a home, provision the home's gateway and start it, for the block."""
    plain, tls = free_port(), free_port()
    config = write_config(folder, port=plain)
    local = ("--local", folder / "cloud")
    async with contextlib.AsyncExitStack() as stack:
        cloud = ["-m", "sitewatt", "cloud", "local", "--config", str(config), "--tls", "--tls-port", str(tls), "--json"]
        await stack.enter_async_context(_process(folder / "cloud.log", *cloud, "--clock", clock))
        ports, home_pid = await stack.enter_async_context(_home(folder, clock))
        claim, identity = folder / "claim", folder / "state" / "identity"
        of = ("--serial", "sn-1", "--site", SITE, "--zone", ZONE)
        made = await fleet("claim", "create", *of, "--out", claim, *local)
        await until(lambda: made["certificate_id"] in (folder / "cloud" / "fleet" / "acl").read_text())
        endpoint = f"mqtts://localhost:{tls}"
        await fleet("provision", "--endpoint", endpoint, "--claim-dir", claim, "--state", identity)
        _write_site(folder, ports, endpoint=endpoint, ca_file=claim / "ca.pem", update_key=update_key)
        service = Service(folder=folder, clock=clock)
        async with background(service.run(), name="service"):
            yield Scene(folder=folder, service=service, local=local, home_pid=home_pid)


def _write_site(folder: Path, ports: dict[str, int], *, endpoint: str, ca_file: Path, update_key: str) -> None:
    site = {
        "site": {"id": SITE, "zone": ZONE, "agent": "consumer"},
        "connection": {"meter": "meter", "import_limit_w": 17_000, "export_limit_w": 10_000},
        "devices": [
            {
                "id": "meter",
                "profile": "eastron_sdm630",
                "url": f"tcp://127.0.0.1:{ports[f'{SITE}/meter']}?unit=1",
                "role": "meter",
            }
        ],
        "link": {"url": endpoint, "ca_file": str(ca_file)},
        "state_dir": str(folder / "state"),
        "fleet": {"update_key": update_key},
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(site))


@contextlib.asynccontextmanager
async def _home(folder: Path, clock: str) -> AsyncIterator[tuple[dict[str, int], int]]:
    home = PlantSite(id=SITE, devices=(DeviceConfig(id="meter", kind=DeviceKind.SDM630),))
    path = folder / "plant.yaml"
    path.write_text(PlantConfig(sites=(home,)).to_yaml())
    command = ["-m", "firmware_sim", "--plant", str(path), "--clock", clock]
    async with _process(folder / "plant.log", *command) as ready:
        yield ready["ports"], ready["pid"]


@contextlib.asynccontextmanager
async def _process(log: Path, *arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run a process of ours for the block, from when it says that it is ready."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=sink, preexec_fn=_hear_ctrl_c
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
        assert line, f"{arguments[1]} ended early; see {log.name}"
        yield {**json.loads(line), "pid": process.pid}
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()


def _hear_ctrl_c() -> None:
    """Let SIGINT do what it does at a terminal, also where the tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
