"""Where small values outlive the process, by key."""

from typing import Any, Protocol


class StateStore(Protocol):
    """Keep small values over restarts; the gateway's outbox file is one."""

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep a value under a key; when durable, it is on the disk on return."""

    def recall(self, key: str) -> Any:
        """Return what is kept under a key, None where nothing is."""


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
