"""A feeder's network as data, the limits within it, and what passes them; nothing here calculates.

A registry holds networks too, and is read where no load flow can be calculated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from cloud.grid.model import Direction
from contracts.units import SiteId


class ImpossibleNetwork(ValueError):
    """A network has no load flow; the sentence says why, and names the node where one is to blame."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node and its rated voltage."""

    id: int
    rated_v: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line, its series impedance, shunt capacitance and greatest current."""

    from_node: int
    to_node: int
    r_ohm: float
    x_ohm: float
    c_f: float
    current_a_max: float


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A transformer by its name plate; losses in W, no-load current and short-circuit voltage per unit.

    ``tap_v`` is the voltage of one tap step at the ``from`` side.
    """

    from_node: int
    to_node: int
    from_v: float
    to_v: float
    rated_va: float
    short_circuit_pu: float
    copper_loss_w: float
    no_load_current_pu: float
    iron_loss_w: float
    tap_position: int = 0
    tap_v: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Feeder:
    """A feeder: what stands still between two looks at it. The source is a voltage behind a short-circuit power."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    transformers: tuple[Transformer, ...]
    source_node: int
    source_pu: float
    source_va: float


def check_possible(feeder: Feeder) -> None:
    """Refuse a network of which a part hangs in the air, or a part that no maker builds.

    Raises:
        ImpossibleNetwork: A branch or the source names a node that is not there, a node has no way to the source, or a
            line or transformer cannot be as told; the sentence names it.
    """
    known = {node.id: node.rated_v for node in feeder.nodes}
    neighbours: dict[int, set[int]] = {node: set() for node in known}
    branches: tuple[Line | Transformer, ...] = (*feeder.lines, *feeder.transformers)
    for branch in branches:
        for node in (branch.from_node, branch.to_node):
            if node not in known:
                raise ImpossibleNetwork(f"a branch ends at node {node}, which the feeder does not have")
        neighbours[branch.from_node].add(branch.to_node)
        neighbours[branch.to_node].add(branch.from_node)
    if feeder.source_node not in known:
        raise ImpossibleNetwork(f"the source is at node {feeder.source_node}, which the feeder does not have")
    reached, edge = {feeder.source_node}, [feeder.source_node]
    while edge:
        new = neighbours[edge.pop()] - reached
        reached |= new
        edge += new
    if dangling := sorted(known.keys() - reached):
        more = f" and {len(dangling) - 1} more" if len(dangling) > 1 else ""
        raise ImpossibleNetwork(
            f"node {dangling[0]}{more} has no line or transformer that leads to the source at node {feeder.source_node}"
        )
    for line in feeder.lines:
        _check_line(line, known)
    for transformer in feeder.transformers:
        _check_transformer(transformer)


def _check_line(line: Line, rated_v: Mapping[int, float]) -> None:
    name = f"line {line.from_node}-{line.to_node}"
    if line.r_ohm <= 0 and line.x_ohm <= 0:
        raise ImpossibleNetwork(f"{name} has neither resistance nor reactance; let its ends be one node")
    from_v, to_v = rated_v[line.from_node], rated_v[line.to_node]
    if max(from_v, to_v) > 1.1 * min(from_v, to_v):
        raise ImpossibleNetwork(f"{name} joins nodes of {from_v:g} V and {to_v:g} V; that takes a transformer")


def _check_transformer(transformer: Transformer) -> None:
    resistance = transformer.copper_loss_w / transformer.rated_va
    if resistance >= transformer.short_circuit_pu:
        raise ImpossibleNetwork(
            f"transformer {transformer.from_node}-{transformer.to_node} loses {transformer.copper_loss_w:g} W of "
            f"{transformer.rated_va:g} VA, more than its short-circuit voltage of {transformer.short_circuit_pu:g} pu"
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The planning band of the voltage and the greatest loading of lines and transformers, per unit."""

    voltage_pu_min: float = 0.94
    voltage_pu_max: float = 1.06
    loading_max: float = 1.0


class Quantity(StrEnum):
    """What a limit bounds."""

    VOLTAGE = "voltage"
    LOADING = "loading"


# Per unit. Relief aims this far inside a limit, so that the next reading does not pass it again; orders are taken back
# once the state without them would be this much further inside; what is nearer than the last is watched.
MARGIN: Final = {Quantity.VOLTAGE: 0.002, Quantity.LOADING: 0.02}
HYSTERESIS: Final = {Quantity.VOLTAGE: 0.005, Quantity.LOADING: 0.05}
NEAR: Final = {Quantity.VOLTAGE: 0.01, Quantity.LOADING: 0.1}
TOLERANCE: Final = 1e-4  # Per unit: what is beyond a limit by less is arithmetic.


@dataclass(frozen=True, kw_only=True)
class Strain:
    """A limit of a network that is passed or near: by how much, and what each site does to it.

    ``beyond`` is per unit, negative inside the limit. ``direction`` is the way in which connection powers must move to
    relieve it. ``effect`` is by how much ``beyond`` falls for each W that a site's connection power rises.
    """

    place: str
    quantity: Quantity
    beyond: float
    direction: Direction
    effect: Mapping[SiteId, float]


@dataclass(frozen=True, kw_only=True)
class Powers:
    """What is drawn in a network: at the sites' connection points and, in sum, beside them; W into the loads.

    ``meter_v`` is the voltage against neutral at the feeder's meter, ``None`` where it is not measured.
    """

    sites: Mapping[SiteId, float]
    others_w: float = 0.0
    meter_v: float | None = None


class Network(Protocol):
    """A feeder whose network is known and can be calculated."""

    @property
    def sites(self) -> frozenset[SiteId]:
        """Return the sites whose node is known."""

    def strains(self, powers: Powers) -> tuple[Strain, ...]:
        """Return the limits that are passed or near, the worst first; a site that is not told draws nothing.

        Raises:
            ImpossibleNetwork: No state of the network carries these powers.
        """
