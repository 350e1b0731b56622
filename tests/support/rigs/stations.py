"""Charging stations that call a central system of ours, on real sockets."""

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contracts.clock import Clock
from edge.devices.charging_station import ChargingStation as Device
from edge.devices.station_opening import open_stations
from edge.ocpp.server import CentralSystem
from edge.ocpp.settings import OcppSettings, StationSettings, TlsFiles, Version
from edge.state_store import StateStore, VolatileStateStore
from firmware_sim.station import ChargingStation, StationConfig
from tests.support.manual_clock import ManualClock

SAFETY_S = 90.0
PASSWORD = "a-password-of-the-bench"
_LOOK_S = 0.01
_STEP_S = 0.25


@dataclass(frozen=True)
class Rating:
    """A load's rating."""

    rated_w: int = 11_000
    switches_phases: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A connector as a site's file has it."""

    id: str
    ocpp: StationSettings | None
    load: Rating | None = Rating()
    phases: tuple[int, ...] = (1, 2, 3)


@dataclass(kw_only=True)
class Bench:
    """A central system that listens, its devices by name."""

    central: CentralSystem
    devices: dict[str, Device]
    port: int
    running: asyncio.Task[None]
    tls: bool = False

    @property
    def url(self) -> str:
        """Return where stations call."""
        return f"{'wss' if self.tls else 'ws'}://localhost:{self.port}/ocpp"

    async def die(self) -> None:
        """Close every socket at once, as a killed process does."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


def password_file(folder: Path, password: str = PASSWORD) -> Path:
    """Write a station's password, for us alone."""
    path = folder / "station.password"
    path.write_text(password + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def section(
    folder: Path,
    name: str = "CP1",
    *,
    version: Version = Version.AUTO,
    phases: tuple[int, ...] = (1, 2, 3),
    start_as: str | None = None,
    switches_phases: bool = False,
) -> Section:
    """Return a station's section; its password is the bench's."""
    told = StationSettings(
        station=name,
        password_file=password_file(folder),
        version=version,
        fallback_a=6,
        max_a=16,
        start_as=start_as,
    )
    return Section(id="wallbox", ocpp=told, phases=phases, load=Rating(switches_phases=switches_phases))


@contextlib.asynccontextmanager
async def bench(
    sections: Sequence[Section],
    clock: Clock,
    *,
    memory: StateStore | None = None,
    tls: TlsFiles | None = None,
    id_tags: tuple[str, ...] | None = None,
    port: int = 0,
) -> AsyncIterator[Bench]:
    """Let stations call for the block."""
    settings = OcppSettings(listen=f"127.0.0.1:{port}", tls=tls, id_tags=id_tags, meter_interval_s=2)
    central, devices = open_stations(sections, settings, clock=clock, memory=memory or VolatileStateStore())
    running = asyncio.create_task(central.run(), name="charging stations")
    try:
        await until(lambda: central.port is not None or running.done(), "the port is open")
        if running.done():
            running.result()
        assert central.port is not None
        yield Bench(central=central, devices=dict(devices), tls=tls is not None, port=central.port, running=running)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def calling(
    config: StationConfig, clock: Clock, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ChargingStation]:
    """Let a simulated station call for the block."""
    station = ChargingStation(config, clock, tls=tls)
    task = asyncio.create_task(station.run(), name="simulated station")
    try:
        yield station
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(
    holds: Callable[[], bool], what: str, *, clock: ManualClock | None = None, safety_s: float = SAFETY_S
) -> None:
    """Wait until something holds; where a clock is given, its time goes on meanwhile, and else it stands.

    Raises:
        AssertionError: It did not within the safety bound.
    """
    try:
        async with asyncio.timeout(safety_s):
            while not holds():
                if clock is not None:
                    clock.advance(_STEP_S)
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        raise AssertionError(f"not within {safety_s:.0f} s: {what}") from error


def certificate(folder: Path) -> TlsFiles:
    """Make a certificate of this machine that stands for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(certificate=folder / "tls.crt", key=folder / "tls.key")
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
