"""What the programs of the house are told, as parts of the running site."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from contracts.clock import Clock
from edge.config import SiteConfig
from edge.errors import ConfigError
from edge.inputs.lock import LocalLock, lock, unlock
from edge.plain.influx import InfluxWriter
from edge.plain.publisher import LockPort, NumberPort, Publisher
from edge.plain.settings import NUMBERS, Control
from edge.site.parts import HousePart
from edge.site.remote_settings import HOUSE, RemoteSettings

_SET_S: Final = 20.0  # Real seconds that setting a limit may take.


def house_parts(
    config: SiteConfig, clock: Clock, *, numbers: Mapping[Control, NumberPort] | None = None
) -> dict[str, HousePart]:
    """Return the parts that tell the house's programs, as a site's file asks for, by the names of their parts.

    Args:
        config: Of the site.
        clock: Of the site.
        numbers: What the controls that are numbers set, where the file names one.

    Raises:
        ConfigError: The client library of a broker's settings is not installed.
    """
    parts: dict[str, HousePart] = dict(_publishers(config, clock, numbers))
    if config.influx is not None:
        parts["influx"] = InfluxWriter(config.influx, site=config.site.id, clock=clock)
    return parts


def _publishers(config: SiteConfig, clock: Clock, numbers: Mapping[Control, NumberPort] | None) -> dict[str, Publisher]:
    asked = {"plain mqtt": config.plain_mqtt, "home assistant": config.home_assistant}
    local = LocalLock(config.state_dir, clock)
    return {
        name: Publisher(
            settings,
            site=config.site.id,
            profiles={device.id: device.profile for device in config.devices},
            lock=LockPort(locked=local.locked, set=lambda on: _set_lock(config, on=on)),
            clock=clock,
            numbers=numbers,
        )
        for name, settings in asked.items()
        if settings is not None
    }


def _set_lock(config: SiteConfig, *, on: bool) -> None:
    if on:
        lock(config.state_dir, until_at=None)
    else:
        unlock(config.state_dir)


def limit_ports(remote: RemoteSettings, adopt: Callable[[SiteConfig], None]) -> dict[Control, NumberPort]:
    """Return what the house's numbers set: limits below the site file's, kept over restarts.

    Args:
        remote: Where they are kept.
        adopt: Brings a configuration into force.
    """
    return {control: _limit_port(control, remote, adopt) for control in NUMBERS}


def _limit_port(control: Control, remote: RemoteSettings, adopt: Callable[[SiteConfig], None]) -> NumberPort:
    loop = asyncio.get_running_loop()

    async def take(watts: int) -> None:
        try:
            proposal = remote.propose(HOUSE, {**remote.wanted.get(HOUSE, {}), control.value: watts})
            proposal.refuse_unsafe()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        remote.keep(proposal)
        adopt(proposal.config)

    return NumberPort(
        value=lambda: getattr(remote.config.connection, control.value),
        most=getattr(remote.file.connection, control.value),
        set=lambda watts: asyncio.run_coroutine_threadsafe(take(watts), loop).result(_SET_S),
    )
