"""Contacts wired to the board itself: lines of a GPIO chip, read through the kernel's character device.

Source: ``linux/gpio.h``, version 2 of the interface (Linux 5.10): ``struct gpio_v2_line_request`` (592 bytes),
``struct gpio_v2_line_values`` (16 bytes), ``GPIO_V2_GET_LINE_IOCTL``, ``GPIO_V2_LINE_GET_VALUES_IOCTL``.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.clock import Clock
from contracts.units import Quality
from edge.config import Pull, RelaySection
from edge.loop.readings import Readings
from edge.modbus.point import Reading

GET_LINES = 0xC250_B407
GET_VALUES = 0xC010_B40E
# Offsets (64), consumer, flags, number of attributes, padding and ten attributes, lines, buffer, padding, descriptor.
_REQUEST = struct.Struct("=64I32sQI20x240xII20xi")
_VALUES = struct.Struct("=QQ")
_CONSUMER = b"sitewatt"
_INPUT = 1 << 2
_PULL = {Pull.UP: 1 << 8, Pull.DOWN: 1 << 9, Pull.NONE: 1 << 10}

Ioctl = Callable[[int, int, bytes], bytes]


class Lines:
    """Some lines of one chip, taken as inputs."""

    def __init__(self, chip: Path, lines: Sequence[int], *, pull: Pull, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._chip = chip
        self._lines = tuple(lines)
        self._flags = _INPUT | _PULL[pull]
        self._ioctl = ioctl
        self._taken: int | None = None

    def levels(self) -> dict[int, int]:
        """Return what each line reads, 0 or 1; the lines are taken with the first call that can.

        Raises:
            OSError: There is no such chip or line, somebody else has it, or it does not answer; the next call tries
                anew.
        """
        try:
            if self._taken is None:
                self._taken = self._take()
            bits, _ = _VALUES.unpack(self._ioctl(self._taken, GET_VALUES, _VALUES.pack(0, (1 << len(self._lines)) - 1)))
        except OSError:
            self.close()
            raise
        return {line: bits >> index & 1 for index, line in enumerate(self._lines)}

    def close(self) -> None:
        """Give the lines back."""
        if self._taken is not None:
            with contextlib.suppress(OSError):
                os.close(self._taken)
            self._taken = None

    def _take(self) -> int:
        chip = os.open(self._chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            offsets = (*self._lines, *(0,) * (64 - len(self._lines)))
            asked = _REQUEST.pack(*offsets, _CONSUMER, self._flags, 0, len(self._lines), 0, 0)
            return int(_REQUEST.unpack(self._ioctl(chip, GET_LINES, asked))[-1])
        finally:
            os.close(chip)


class BoardContacts:
    """The contacts of a site's configuration that are wired to the board."""

    def __init__(self, sections: Sequence[RelaySection], *, clock: Clock, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._clock = clock
        self._lines = [
            (one.device, Lines(Path(one.device), [int(name) for name in one.contacts], pull=one.pull, ioctl=ioctl))
            for one in sections
            if one.on_board
        ]

    def readings(self) -> dict[str, Readings]:
        """Return what can be read now, by chip and line; what cannot is not there."""
        found: dict[str, Readings] = {}
        now, now_s = self._clock.now(), self._clock.monotonic()
        for chip, lines in self._lines:
            with contextlib.suppress(OSError):
                for line, level in lines.levels().items():
                    reading = Reading(value=level, quality=Quality.GOOD, source_at=now, monotonic_s=now_s)
                    found[chip] = {**found.get(chip, {}), str(line): reading}
        return found

    def close(self) -> None:
        """Give every line back."""
        for _, lines in self._lines:
            lines.close()
