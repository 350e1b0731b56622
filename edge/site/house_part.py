"""What the programs of the house are told, as parts of the running site."""

from contracts.clock import Clock
from edge.config import SiteConfig
from edge.inputs.lock import LocalLock, lock, unlock
from edge.plain.publisher import LockPort, Publisher


def publishers(config: SiteConfig, clock: Clock) -> dict[str, Publisher]:
    """Return the publishers that a site's file asks for, by the names of their parts.

    Raises:
        ConfigError: The client library of a broker's settings is not installed.
    """
    asked = {"plain mqtt": config.plain_mqtt, "home assistant": config.home_assistant}
    local = LocalLock(config.state_dir, clock)
    return {
        name: Publisher(
            settings,
            site=config.site.id,
            profiles={device.id: device.profile for device in config.devices},
            lock=LockPort(locked=local.locked, set=lambda on: _set_lock(config, on=on)),
            clock=clock,
        )
        for name, settings in asked.items()
        if settings is not None
    }


def _set_lock(config: SiteConfig, *, on: bool) -> None:
    if on:
        lock(config.state_dir, until_at=None)
    else:
        unlock(config.state_dir)
