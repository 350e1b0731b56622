"""Every bus of a gateway: whoever names the same host and port, or the same line, gets the same one."""

from dataclasses import replace
from types import TracebackType

from edge.errors import ConfigError
from edge.modbus.bus import Bus
from edge.modbus.url import Endpoint, parse_url


class BusPool:
    """Opens each bus once and closes them together.

    Args:
        read_only: Whether no bus may write anything at all.
    """

    def __init__(self, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._buses: dict[str, Bus] = {}

    async def __aenter__(self) -> "BusPool":
        """Return the buses; connections open with the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def get(self, url: str | Endpoint) -> tuple[Bus, int]:
        """Return the bus of a URL and the unit that the URL names.

        Raises:
            ConfigError: The URL is wrong, or contradicts another device's on the same line.
        """
        endpoint = parse_url(url) if isinstance(url, str) else url
        known = self._buses.get(endpoint.bus)
        if known is None:
            known = self._buses[endpoint.bus] = Bus(endpoint, read_only=self._read_only)
        elif replace(known.endpoint, unit=endpoint.unit) != endpoint:
            raise ConfigError(
                f"{endpoint.bus} is named twice with different settings; devices on one connection must agree"
            )
        return known, endpoint.unit

    def close(self) -> None:
        """Close every connection."""
        for bus in self._buses.values():
            bus.close()
