"""Raw telemetry, kept in files that analysts read: what every lake promises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

LAKE_PREFIX: Final = "telemetry/"


@dataclass(frozen=True, kw_only=True)
class RawSample:
    """One sample as the gateway sent it; ``value`` is ``None`` where there was no number.

    A message that is delivered twice may stand in two files: ``(site, epoch, seq)`` tells.
    """

    site: str
    epoch: int
    seq: int
    point: str
    at: datetime
    value: float | None
    quality: str


class Lake(Protocol):
    """Where raw samples go.

    Raises:
        StoreError: From every call, when the store failed; trying again may help.
    """

    def write(self, *, zone: str, name: str, samples: Sequence[RawSample]) -> None:
        """Write samples as one file; the same name again replaces it with the same content."""

    def read(self, *, zone: str, day: datetime) -> Sequence[RawSample]:
        """Return a zone's samples that were filed under a UTC day."""

    def of_site(self, site: str) -> Iterator[RawSample]:
        """Yield every sample of a site; each file of the lake is read for it."""

    def forget(self, site: str) -> int:
        """Remove every sample of a site and return how many there were; files of others as well are written anew."""


def file_key(*, zone: str, day: datetime, name: str) -> str:
    """Return the path of a file below the lake's root, by zone and UTC day (Hive style)."""
    return f"{folder_key(zone=zone, day=day)}/{name}.parquet"


def folder_key(*, zone: str, day: datetime) -> str:
    """Return the folder of a zone's day below the lake's root."""
    return folder_of(zone=zone, day=f"{day.astimezone(UTC):%Y-%m-%d}")


def folder_of(*, zone: str, day: str) -> str:
    """Return the folder of a zone and a day as they are written, or of what stands in their place."""
    return f"{LAKE_PREFIX}zone={zone}/day={day}"
