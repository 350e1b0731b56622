"""The newest reading of each point, decoded when somebody looks.

A cycle reads a hundred points and a controller looks at ten; what is not looked at costs neither arithmetic nor a
decoder in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from edge.modbus.codec import Decoder, Image, compile_point
from edge.modbus.point import Reading, RegisterPoint


class Words:
    """Adjacent words as they came, from an address on; by address only when somebody looks."""

    __slots__ = ("_address", "_image", "_words")

    def __init__(self, address: int, words: Sequence[int]) -> None:
        self._address = address
        self._words = words
        self._image: Image | None = None

    @property
    def image(self) -> Image:
        """Return each word by its address."""
        if self._image is None:
            self._image = dict(enumerate(self._words, self._address))
        return self._image


class Sheet:
    """What one reply brought, and when; readings are decoded once."""

    __slots__ = ("_found", "monotonic_s", "readings", "source_at")

    def __init__(self, found: Words | Image, *, source_at: datetime, monotonic_s: float) -> None:
        self._found = found
        self.source_at = source_at
        self.monotonic_s = monotonic_s
        self.readings: dict[str, Reading] = {}

    @property
    def image(self) -> Image:
        """Return each word by its address."""
        return self._found.image if isinstance(self._found, Words) else self._found


class Latest(Mapping[str, Reading]):
    """Readings by point name."""

    def __init__(self, points: Mapping[str, RegisterPoint]) -> None:
        self._points = points
        self._decoders: dict[str, Decoder] = {}
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
            decoder = self._decoders.get(name)
            if decoder is None:
                decoder = self._decoders[name] = compile_point(self._points[name])
            value, quality, raw = decoder(sheet.image)
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
