"""What one seed draws: the neighbourhood, what goes wrong and when, and what the grid operator orders."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from sitewatt.demo.neighbourhood import Neighbourhood

BROKER = "broker"
CLOUD = "cloud"
EVERYTHING = "everything"
LIAR = "liar-1"


class FaultKind(StrEnum):
    """One way in which a part of the neighbourhood fails."""

    KILL = "kill"
    """Every process of the part dies at once (SIGKILL); it is started again after ``for_s``."""
    KILL_ONE = "kill_one"
    """One process of the part dies, its supervisor may start it again; where it is the only one, as ``KILL``."""
    POWER_CUT = "power_cut"
    """All gateways, the broker and the cloud lose their supply, with what was not synced; after ``for_s`` they come
    back, in any order.
    """
    PAUSE = "pause"
    """Every process of the part stands still (SIGSTOP) for ``for_s``."""
    DISK = "disk"
    """No process of the part can write a byte to a file for ``for_s``: its disk is full, or turned read-only."""
    CLOCK = "clock"
    """The clock of the gateway's host is off by ``detail`` seconds for ``for_s``, then its time service sets it."""
    DEVICE = "device"
    """A device misbehaves on its wire as ``detail`` says; ``at_s`` counts from when it was switched on."""
    GARBAGE = "garbage"
    """A client publishes what nobody may take, on every channel of the site."""
    LIE = "lie"
    """A registered site without a gateway says what is valid and not true, as ``detail`` says."""
    CERTIFICATE = "certificate"
    """A gateway's certificate is ``detail`` for ``for_s`` (it ended, is another authority's, revoked, half written; or
    the broker's is another's), and its session is cut at both ends of that; with ``renewed`` nothing is wrong.
    """
    REPEAT = "repeat"
    """What goes over the broker is published again: ``for_s`` later, twice, in another order, and cut short."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    ``at_s`` and ``for_s`` are seconds of site time, since the neighbourhood ran and since the fault began; ``seed`` is
    for what the fault itself draws.
    """

    number: int
    kind: FaultKind
    target: str
    at_s: float
    for_s: float
    seed: int
    detail: str = ""

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.detail}".strip()
        return f"{self.number:3d}  {self.at_s:7.0f} s  {what} {self.target} for {self.for_s:.0f} s"


class Ordered(StrEnum):
    """What an order limits."""

    EXPORT = "export"
    """What the site feeds in."""
    STATION = "station"
    """What the charging station of the site may draw."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """The grid operator limits a site to ``max_w``, from ``at_s`` for ``for_s`` seconds of site time.

    Orders of one site are numbered as they follow one another.
    """

    number: int
    site: str
    what: Ordered
    max_w: int
    at_s: float
    for_s: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run does. Equal plans do the same; what the machine makes of it may differ."""

    seed: int
    place: Neighbourhood
    speed: float
    span_s: float
    faults: tuple[Fault, ...]
    orders: tuple[Order, ...]

    @property
    def gateways(self) -> tuple[str, ...]:
        """Return the names of all gateways, the feeder's first."""
        return (self.place.feeder.id, *(site.id for site in self.place.sites))

    def only(self, numbers: Collection[int]) -> "Plan":
        """Return the same plan with these of its faults alone."""
        return replace(self, faults=tuple(fault for fault in self.faults if fault.number in numbers))
