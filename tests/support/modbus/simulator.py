"""A clock that a test moves by hand, plants to try, and a client that sends exactly the bytes it is told to."""

import asyncio
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from firmware_sim.bank import Table
from firmware_sim.driver import Driver
from firmware_sim.inverter_device import InverterDevice
from firmware_sim.plant import Plant
from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
)
from firmware_sim.series import Week
from firmware_sim.sunspec_layout import layout

# Tuesday noon: the sun of the sunny week is high.
NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
SAFETY_S = 120.0


@dataclass
class ManualClock:
    """Time that passes only when a test says so."""

    started_at: datetime = NOON
    elapsed_s: float = 0.0
    speed: float = 1.0
    waiters: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the instant that has been reached."""
        return self.started_at + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Wait until a test has moved the clock so far."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append((self.elapsed_s + seconds, future))
        await future

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed_s += seconds
        due = [future for at_s, future in self.waiters if at_s <= self.elapsed_s]
        self.waiters = [(at_s, future) for at_s, future in self.waiters if at_s > self.elapsed_s]
        for future in due:
            if not future.done():
                future.set_result(None)


BATTERY = BatteryConfig(capacity_wh=10_000, charge_w_max=4_000, discharge_w_max=4_000, response_s=0)


def home(
    *,
    device: DeviceConfig | None = None,
    battery: BatteryConfig | None = BATTERY,
    pv_peak_w: float | None = 5_000,
    load_w: float = 1_000,
) -> PlantConfig:
    """Return a plant of one home with a constant load, PV, and a battery behind one inverter."""
    kind = DeviceKind.SUNSPEC_HYBRID if battery else DeviceKind.SUNSPEC_PV
    site = PlantSite(
        id="home",
        load=LoadConfig(base_w=load_w),
        pv=PvConfig(peak_w=pv_peak_w) if pv_peak_w else None,
        battery=battery,
        devices=(device or DeviceConfig(id="inverter", kind=kind), DeviceConfig(id="meter", kind=DeviceKind.SDM630)),
    )
    return PlantConfig(week=Week.SUNNY, sites=(site,))


@dataclass
class Bench:
    """One inverter of one home on a table, with its clock."""

    clock: ManualClock
    plant: Plant
    driver: Driver
    device: InverterDevice

    @property
    def site_w(self) -> tuple[float, float, float]:
        """Return load, PV and battery power now."""
        self.driver.now_s()
        site = self.plant.sites["home"]
        return site.load_w, site.pv_w, site.battery_w

    def write(self, model: int, point: str, *values: float) -> None:
        """Write consecutive registers from a point on, raw."""
        self.device.bank.write_registers(self.address(model, point), words(*values))

    def read(self, model: int, point: str) -> int:
        """Return one raw register, signed."""
        data = self.device.bank.read_registers(Table.HOLDING, self.address(model, point), 1)
        (raw,) = struct.unpack(">h", data)
        return int(raw)

    def address(self, model: int, point: str) -> int:
        """Return where a point stands on this device."""
        offset = next(one.offset for one in layout(model, modules=4 if model == 160 else 0) if one.name == point)
        return self.device.bank.addresses[model] + offset


def bench(config: PlantConfig, *, started_at: datetime = NOON) -> Bench:
    """Put the home's inverter on a table."""
    clock = ManualClock(started_at=started_at)
    plant = Plant(config, started_at=clock.now(), now_s=clock.monotonic())
    driver = Driver(plant, clock)
    site = plant.sites["home"]
    device = InverterDevice(plant=plant, driver=driver, site=site, inverter=site.inverters[0])
    return Bench(clock=clock, plant=plant, driver=driver, device=device)


def words(*values: float) -> bytes:
    """Return register values as wire bytes, negative ones as two's complement."""
    return b"".join(struct.pack(">H", int(value) & 0xFFFF) for value in values)


class RawClient:
    """A client that neither checks nor mends anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use an open connection."""
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "RawClient":
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *requests: tuple[int, int, bytes]) -> None:
        """Send (transaction, unit, PDU) frames in one segment."""
        self.writer.write(b"".join(struct.pack(">HHHB", t, 0, len(pdu) + 1, unit) + pdu for t, unit, pdu in requests))

    async def receive(self) -> tuple[int, int, bytes]:
        """Return the next frame as (transaction, unit, PDU)."""
        async with asyncio.timeout(SAFETY_S):
            transaction, _, length, unit = struct.unpack(">HHHB", await self.reader.readexactly(7))
            return transaction, unit, await self.reader.readexactly(length - 1)

    async def ask(self, pdu: bytes, *, unit: int = 1, transaction: int = 1) -> bytes:
        """Send one request and return the PDU that answers."""
        self.send((transaction, unit, pdu))
        return (await self.receive())[2]

    async def ended(self) -> bool:
        """Return whether the other side has closed the connection, waiting for it."""
        async with asyncio.timeout(SAFETY_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


def read_request(address: int, count: int, *, function: int = 3) -> bytes:
    """Return the PDU that reads registers."""
    return struct.pack(">BHH", function, address, count)
