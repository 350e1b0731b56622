"""The installation: every device of a plant on its own socket, over one driver."""

import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from contracts.clock import Clock
from firmware_sim.bank import Bank, ShortReads
from firmware_sim.consumer_devices import consumer_device
from firmware_sim.driver import Driver
from firmware_sim.errors import PlantError
from firmware_sim.faults import FaultyWire
from firmware_sim.inverter_device import InverterDevice
from firmware_sim.meter_device import MeteredPoint, Sdm630, sunspec_meter
from firmware_sim.plant import Plant
from firmware_sim.plant_config import DeviceConfig, DeviceKind, PlantConfig
from firmware_sim.plant_parts import Site
from firmware_sim.relay_device import Relay
from firmware_sim.server import ModbusServer

# A connection point whose fuse nobody names: what its parts can do together, with room for load steps.
_HEADROOM = 1.5
_POWER_W_MIN = 30_000.0


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Devices that answer; ports by ``site/device``."""

    driver: Driver
    ports: Mapping[str, int]
    servers: Mapping[str, ModbusServer]
    wires: Mapping[str, FaultyWire]

    @property
    def plant(self) -> Plant:
        """Return the plant behind the devices."""
        return self.driver.plant


@asynccontextmanager
async def open_installation(config: PlantConfig, clock: Clock) -> AsyncIterator[Installation]:
    """Serve every device of a plant until the block ends.

    Args:
        config: The plant; devices on port 0 are given one by the machine.
        clock: Whose time the plant lives by.

    Raises:
        PlantError: Two devices answer as one unit of one port.
        PortTaken: A device's port is in use.
    """
    plant = Plant(config, started_at=clock.now(), now_s=clock.monotonic())
    driver = Driver(plant, clock)
    servers: dict[str, ModbusServer] = {}
    ports: dict[str, int] = {}
    opened: dict[str, ModbusServer] = {}
    wires: dict[str, FaultyWire] = {}
    try:
        for owner, device, bank in device_banks(plant, driver):
            name = f"{owner}/{device.id}"
            shared = f"{owner}/{device.shares_port_of}" if device.shares_port_of else None
            socket = str(device.port) if device.port else f"own/{shared or name}"
            if shared is not None:
                server, ports[name] = servers[shared], ports[shared]
                _add_unit(server, name, device.unit, bank)
            elif socket in opened:
                server, ports[name] = opened[socket], device.port
                _add_unit(server, name, device.unit, bank)
            else:
                wire = None
                if device.faults:
                    wire = wires[name] = FaultyWire(device.faults, seed=f"{config.seed}/{name}", clock=clock)
                server = ModbusServer({device.unit: bank}, clients_max=device.clients_max, wire=wire)
                ports[name] = await server.start(host=config.host, port=device.port)
                opened[socket] = server
            servers[name] = server
        yield Installation(driver=driver, ports=ports, servers=servers, wires=wires)
    finally:
        for server in opened.values():
            await server.stop()


def _add_unit(server: ModbusServer, name: str, unit: int, bank: Bank) -> None:
    if unit in server.units:
        raise PlantError(f"device {name!r} answers as unit {unit}, as does another on its port; no plant is served")
    server.units[unit] = bank


def device_banks(plant: Plant, driver: Driver) -> list[tuple[str, DeviceConfig, Bank]]:
    """Return every device with its owner and the bank that answers for it."""
    return [
        (owner, device, ShortReads(bank, device.registers_per_read_max) if device.registers_per_read_max else bank)
        for owner, device, bank in _unlimited_banks(plant, driver)
    ]


def _unlimited_banks(plant: Plant, driver: Driver) -> list[tuple[str, DeviceConfig, Bank]]:
    banks: list[tuple[str, DeviceConfig, Bank]] = []
    for site in plant.sites.values():
        inverters = {inverter.config.id: inverter for inverter in site.inverters}
        for device in site.config.devices:
            bank: Bank
            if device.kind is DeviceKind.RELAY:
                bank = Relay(site=site, driver=driver)
            elif device.id in site.consumers:
                bank = consumer_device(device.kind, site.consumers[device.id], driver)
            elif device.id in inverters:
                bank = InverterDevice(plant=plant, driver=driver, site=site, inverter=inverters[device.id]).bank
            else:
                bank = _meter(device, site.config.id, _connection_point(plant, site), driver)
            banks.append((site.config.id, device, bank))
    if plant.config.feeder.device is not None:
        owner = plant.config.feeder.id
        banks.append(
            (owner, plant.config.feeder.device, _meter(plant.config.feeder.device, owner, _transformer(plant), driver))
        )
    return banks


def _meter(device: DeviceConfig, owner: str, point: MeteredPoint, driver: Driver) -> Bank:
    serial = f"{owner}/{device.id}"
    if device.kind is DeviceKind.SDM630:
        return Sdm630(point=point, driver=driver, serial=zlib.crc32(serial.encode()))
    return sunspec_meter(point=point, driver=driver, serial=serial, unit=device.unit, base=device.base)


def _connection_point(plant: Plant, site: Site) -> MeteredPoint:
    return MeteredPoint(
        power_w=lambda: site.connection_w,
        voltage_v=lambda: plant.feeder.voltage_v,
        frequency_hz=lambda: plant.feeder.frequency_hz,
        counters=site.meter,
        phases=site.config.phases,
        power_w_max=_power_w_max(site),
    )


def _transformer(plant: Plant) -> MeteredPoint:
    feeder = plant.feeder
    return MeteredPoint(
        power_w=lambda: feeder.power_w,
        voltage_v=lambda: feeder.voltage_v,
        frequency_hz=lambda: feeder.frequency_hz,
        counters=feeder.meter,
        phases=3,
        power_w_max=max(sum(_power_w_max(site) for site in plant.sites.values()), 1.5 * (feeder.config.limit_w or 0.0)),
    )


def _power_w_max(site: Site) -> float:
    """Return the largest power that a site's meter must be able to show."""
    load_w = 0.0
    if site.load is not None:
        peak_w = site.load.series.peak_w * site.load.factor if site.load.series else 0.0
        load_w = (peak_w + site.load.base_w) * (1 + site.load.variation_share)
    load_w += sum(one.power_w for one in site.config.switched)
    load_w += sum(one.power_w_max for one in site.consumers.values())
    load_w += sum(max(0.0, step.extra_load_w) for step in site.config.steps)
    pv_w = site.pv.series.peak_w * site.pv.factor if site.pv and site.pv.series else 0.0
    battery_w = max(site.battery.charge_w_max, site.battery.discharge_w_max) if site.battery else 0.0
    return max(_POWER_W_MIN, _HEADROOM * (max(load_w, pv_w) + battery_w))
