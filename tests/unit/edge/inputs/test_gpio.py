"""Contacts at the board's own lines: asked as the kernel's interface has it, and never read as what they do not say."""

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.config import Pull, RelaySection
from edge.inputs.gpio import GET_LINES, GET_VALUES, BoardContacts, Lines
from edge.inputs.wired import WiredInputs
from edge.state_store import VolatileStateStore
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON


@dataclass
class Kernel:
    """The two calls of the character device over levels that a test sets, at the offsets of ``linux/gpio.h``."""

    levels: dict[int, int]
    asked: list[bytes] = field(default_factory=list)
    refuses: int = 0
    taken: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        """Answer as the kernel does."""
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        if request == GET_LINES:
            assert len(argument) == 592
            self.asked.append(argument)
            (count,) = struct.unpack_from("=I", argument, 560)
            held = os.open(os.devnull, os.O_RDONLY)
            self.taken[held] = struct.unpack_from(f"={count}I", argument, 0)
            return argument[:588] + struct.pack("=i", held)
        assert request == GET_VALUES
        _, mask = struct.unpack("=QQ", argument)
        lines = self.taken[descriptor]
        assert mask == (1 << len(lines)) - 1
        return struct.pack("=QQ", sum(self.levels[line] << index for index, line in enumerate(lines)), mask)


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Path]:
    """A file where a chip would be."""
    path = tmp_path / "gpiochip0"
    path.touch()
    yield path


def test_lines_are_asked_for_as_the_kernels_header_has_it(chip: Path) -> None:
    """A byte at another offset would be another line, or an output."""
    kernel = Kernel(levels={17: 1, 27: 0, 22: 1})
    lines = Lines(chip, [17, 27, 22], pull=Pull.UP, ioctl=kernel.ioctl)
    assert lines.levels() == {17: 1, 27: 0, 22: 1}
    (asked,) = kernel.asked
    assert struct.unpack_from("=4I", asked, 0) == (17, 27, 22, 0)
    assert asked[256:264] == b"sitewatt"
    assert struct.unpack_from("=Q", asked, 288) == (1 << 2 | 1 << 8,), "an input that is pulled up"
    assert (asked[296:560], asked[564:588]) == (bytes(264), bytes(24))
    kernel.levels[27] = 1
    assert lines.levels()[27] == 1
    assert len(kernel.asked) == 1, "lines are taken once"
    lines.close()


def test_lines_that_cannot_be_read_are_taken_again_when_they_can(chip: Path) -> None:
    """Somebody else may have them for a while; a chip on a bus may come later than we do."""
    kernel = Kernel(levels={4: 1}, refuses=errno.EBUSY)
    lines = Lines(chip, [4], pull=Pull.NONE, ioctl=kernel.ioctl)
    with pytest.raises(OSError, match="busy"):
        lines.levels()
    kernel.refuses = 0
    assert lines.levels() == {4: 1}
    kernel.refuses = errno.EIO
    with pytest.raises(OSError, match="error"):
        lines.levels()
    kernel.refuses = 0
    assert lines.levels() == {4: 1}
    assert len(kernel.asked) == 2
    lines.close()


def test_a_contact_of_the_board_limits_as_one_of_a_box_does(chip: Path) -> None:
    """Open, closed, and a line that falls silent: it keeps what it last said."""
    section = RelaySection.model_validate(
        {"device": str(chip), "kind": "14a", "point": "17", "closed": 0, "pull": "up"}
    )
    kernel = Kernel(levels={17: 1})
    board = BoardContacts([section], clock=ManualClock(NOON), ioctl=kernel.ioctl)
    inputs = WiredInputs([section], memory=VolatileStateStore())
    inputs.look(board.readings())
    assert not inputs.requests(0.0)
    kernel.levels[17] = 0
    inputs.look(board.readings())
    assert [one.max_w for one in inputs.requests(0.0)] == [4_200.0]
    kernel.refuses = errno.ENODEV
    inputs.look(board.readings())
    assert inputs.unread == {f"{chip}/17"}
    assert [one.max_w for one in inputs.requests(0.0)] == [4_200.0]
    board.close()


def test_a_chip_that_is_not_there_limits_and_is_told(tmp_path: Path) -> None:
    """A contact that was never read counts as closed."""
    section = RelaySection.model_validate({"device": "/dev/gpiochip99", "kind": "14a", "point": "17"})
    board, inputs = (
        BoardContacts([section], clock=ManualClock(NOON)),
        WiredInputs([section], memory=VolatileStateStore()),
    )
    inputs.look(board.readings())
    assert inputs.unread == {"/dev/gpiochip99/17"}
    assert len(inputs.requests(0.0)) == 1


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"device": "/dev/gpiochip0", "kind": "14a", "point": "relay1"}, "is no line of /dev/gpiochip0"),
        ({"device": "/dev/gpiochip0", "kind": "lock", "point": "017"}, "is no line of /dev/gpiochip0"),
        ({"device": "box", "kind": "14a", "point": "relay1", "pull": "up"}, "pull is for lines of the board"),
    ],
)
def test_what_no_board_has_is_refused(section: dict[str, str], says: str) -> None:
    """A slip here would be a limit that never comes."""
    with pytest.raises(ValueError, match=says):
        RelaySection.model_validate(section)
