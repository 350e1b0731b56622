"""The newest reading of each point, decoded when somebody looks.

A cycle reads a hundred points and a controller looks at ten; what is not looked at costs no arithmetic.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from edge.modbus.codec import Decoder, Image
from edge.modbus.point import Reading


class Sheet:
    """What one reply brought, and when; readings are decoded once."""

    __slots__ = ("image", "monotonic_s", "readings", "source_at")

    def __init__(self, image: Image, *, source_at: datetime, monotonic_s: float) -> None:
        self.image = image
        self.source_at = source_at
        self.monotonic_s = monotonic_s
        self.readings: dict[str, Reading] = {}


class Latest(Mapping[str, Reading]):
    """Readings by point name."""

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self._decoders = decoders
        self._sheets: dict[str, Sheet] = {}

    def take(self, names: Sequence[str], sheet: Sheet) -> None:
        """Let these points have their newest reading on a sheet."""
        self._sheets.update(dict.fromkeys(names, sheet))

    def clear(self) -> None:
        """Forget every reading."""
        self._sheets.clear()

    def __getitem__(self, name: str) -> Reading:
        """Return the newest reading of a point.

        Raises:
            KeyError: The point has not been read.
        """
        sheet = self._sheets[name]
        reading = sheet.readings.get(name)
        if reading is None:
            value, quality, raw = self._decoders[name](sheet.image)
            reading = sheet.readings[name] = Reading(
                value=value, quality=quality, source_at=sheet.source_at, raw=raw, monotonic_s=sheet.monotonic_s
            )
        return reading

    def __iter__(self) -> Iterator[str]:
        """Return the names of the points that have been read."""
        return iter(self._sheets)

    def __len__(self) -> int:
        """Return how many points have been read."""
        return len(self._sheets)

    def __contains__(self, name: object) -> bool:
        """Return whether a point has been read."""
        return name in self._sheets
