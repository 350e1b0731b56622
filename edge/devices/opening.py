"""The devices of a site, open: one connection for each host and port, one task for each device.

A device that does not answer at the start is offline and is tried again; the others do not wait for it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from contracts.clock import Clock
from edge.devices.catalogue import load_profile
from edge.devices.device import Device
from edge.devices.options import RATED_W_DEFAULT, DeviceSettings, check_names, options_of, rated_power_w
from edge.errors import ConfigError
from edge.modbus.pool import BusPool
from edge.state_store import StateStore


@contextlib.asynccontextmanager
async def open_devices(
    sections: Sequence[DeviceSettings],
    *,
    clock: Clock,
    outbox: StateStore | None = None,
    profile_dir: Path | None = None,
    connection_w: float = RATED_W_DEFAULT,
    watched: Mapping[str, frozenset[str]] | None = None,
    read_only: bool = False,
) -> AsyncIterator[dict[str, Device]]:
    """Open every device of a site and read them all until the block ends.

    Args:
        outbox: Where what was learned, touched and worn outlives the process.
        profile_dir: A folder whose profiles go before ours.
        connection_w: The greatest power at the connection point, for the plausibility of its counters.
        watched: By device, the canonical names that are read with each control cycle.
        read_only: Whether nothing may be written to any of them, whoever asks.

    Raises:
        ConfigError: A profile or a url cannot be used; nothing was opened.
    """
    async with BusPool(read_only=read_only) as buses:
        devices: dict[str, Device] = {}
        phase_s = clock.monotonic()
        for section in sections:
            try:
                profile = load_profile(section.profile, profile_dir)
                check_names(profile, section)
                bus, unit = buses.get(section.url)
            except ConfigError as error:
                raise ConfigError(f"device {section.id}: {error}") from error
            devices[section.id] = Device(
                id=section.id,
                profile=profile,
                bus=bus,
                unit=unit,
                clock=clock,
                options=options_of(
                    section,
                    profile=profile,
                    connection_w=connection_w,
                    site_w=sum(rated_power_w(one) for one in sections),
                    watched=(watched or {}).get(section.id, frozenset()),
                ),
                memory=outbox,
                phase_s=phase_s,
            )
        async with _reading(devices):
            yield devices


@contextlib.asynccontextmanager
async def _reading(devices: Mapping[str, Device]) -> AsyncIterator[None]:
    """Read the devices beside a block; what the block raises comes out as it is, not as a group."""
    raised: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(device.run(), name=f"device {name}") for name, device in devices.items()]
            try:
                yield
            except Exception as error:  # Only passed on: the group would wrap it.
                raised = error
                raise
            finally:
                for task in running:
                    task.cancel()
    except ExceptionGroup as group:
        if raised is not None and group.exceptions == (raised,):
            raise raised from None
        raise
