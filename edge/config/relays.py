"""Wired inputs: which contacts are read, and what each means."""

import re
from enum import StrEnum

from pydantic import Field, model_validator

from edge.config.section import Section
from edge.control.statutory import LARGE_LOAD_W


class RelayKind(StrEnum):
    """What a wired input means."""

    STEERABLE_LOADS = "14a"
    RIPPLE = "ripple"
    LOCK = "lock"


class RelayBounds(StrEnum):
    """What a contact of section 14a bounds."""

    CONNECTION = "connection"
    LOADS = "loads"


class Pull(StrEnum):
    """What holds a line of the board while its contact is open."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class RelaySection(Section):
    """A wired input: contacts of a receiver or a switch, read as points of a device, or as lines of the board.

    ``14a`` reads ``point``: while closed, the site draws at most what section 14a EnWG leaves its ``steerable_loads``.
    ``bounds: loads`` holds that for the site's loads together instead of its whole connection: what the house draws
    does not count, and what it feeds in may be drawn on top.
    ``ripple`` reads ``k60``, ``k30``, ``k0`` (any may be absent): it feeds in at most that share of ``installed_w``.
    ``lock`` reads ``point``: while closed, the site is locked for maintenance. ``closed`` is what a closed contact
    reads, 0 where the wiring is such that current means normal.

    ``device`` is one of the site's, or a GPIO chip (``/dev/gpiochip0``) whose lines are named by their numbers;
    ``pull`` is for those.
    """

    device: str
    kind: RelayKind
    pull: Pull = Pull.NONE
    point: str | None = None
    k60: str | None = None
    k30: str | None = None
    k0: str | None = None
    closed: int = Field(default=1, ge=0, le=1)
    steerable_loads: int = Field(default=1, ge=1)
    bounds: RelayBounds = RelayBounds.CONNECTION
    large_heat_pumps_w: int = Field(default=0, ge=0)
    large_cooling_w: int = Field(default=0, ge=0)
    installed_w: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _contacts_fit(self) -> "RelaySection":
        steps = [self.k60, self.k30, self.k0]
        if self.kind is RelayKind.RIPPLE:
            if self.point is not None or not any(steps):
                raise ValueError("a ripple input names its contacts as k60, k30 and k0, not as point")
            if self.installed_w is None:
                raise ValueError("a ripple input needs installed_w, of which the steps are shares")
        elif self.point is None or any(steps):
            raise ValueError(f"a {self.kind} input names its contact as point")
        if self.bounds is not RelayBounds.CONNECTION and self.kind is not RelayKind.STEERABLE_LOADS:
            raise ValueError(f"bounds is {self.bounds.value}, which is for 14a; a {self.kind} input has none")
        for name, power_w in (("heat_pumps", self.large_heat_pumps_w), ("cooling", self.large_cooling_w)):
            if 0 < power_w <= LARGE_LOAD_W:
                raise ValueError(f"large_{name}_w {power_w} is not above {LARGE_LOAD_W:.0f}, where a load is large")
        return self

    @model_validator(mode="after")
    def _board_fits(self) -> "RelaySection":
        wrong = [name for name in self.contacts if not re.fullmatch("0|[1-9][0-9]{0,3}", name)]
        if self.on_board and wrong:
            raise ValueError(f"{wrong[0]!r} is no line of {self.device}; lines are named by number, such as '17'")
        if self.pull is not Pull.NONE and not self.on_board:
            raise ValueError(f"pull is for lines of the board (/dev/gpiochip0), not for the points of {self.device}")
        return self

    @property
    def on_board(self) -> bool:
        """Say whether the contacts are lines of the board itself."""
        return self.device.startswith("/")

    @property
    def contacts(self) -> tuple[str, ...]:
        """Return the points that are read."""
        return tuple(name for name in (self.point, self.k60, self.k30, self.k0) if name is not None)
