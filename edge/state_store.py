"""Where small values outlive the process, by key."""

from typing import Any, Final, Protocol

# Real seconds for which something may wait for the disk before it is answered or decided anew: within a control period.
NOTE_S: Final = 1.0


class StateStore(Protocol):
    """Keep small values over restarts; the gateway's outbox file is one."""

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep a value under a key; when durable, its commit begins at once, and ``on_disk`` waits for its end."""

    def recall(self, key: str) -> Any:
        """Return what is kept under a key, None where nothing is."""

    async def on_disk(self) -> None:
        """Commit what is kept so far, and return when it is on the disk."""


class VolatileStateStore:
    """A state store for tools and tests: it ends with the process."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep a value under a key."""
        self._values[key] = value

    def recall(self, key: str) -> Any:
        """Return what is kept under a key, None where nothing is."""
        return self._values.get(key)

    async def on_disk(self) -> None:
        """Return at once: there is no disk."""
