"""A network as a question or a registry describes it, made into what a load flow is calculated of. Pure."""

from collections.abc import Sequence
from typing import Protocol

from cloud.grid.network import Feeder, Limits, Line, Node, Transformer
from contracts.skills.study import StudyLine, StudyTransformer


class DescribedNode(Protocol):
    """A node and its rated voltage between phases in V."""

    @property
    def id(self) -> int: ...
    @property
    def rated_v(self) -> float: ...


class Described(Protocol):
    """A network below a source; what its branches are called is what ``Line`` and ``Transformer`` call it."""

    @property
    def nodes(self) -> Sequence[DescribedNode]: ...
    @property
    def lines(self) -> Sequence[StudyLine]: ...
    @property
    def transformers(self) -> Sequence[StudyTransformer]: ...
    @property
    def source_node(self) -> int: ...
    @property
    def source_pu(self) -> float: ...
    @property
    def source_va(self) -> float: ...
    @property
    def voltage_pu_min(self) -> float: ...
    @property
    def voltage_pu_max(self) -> float: ...
    @property
    def loading_max(self) -> float: ...


def feeder_of(described: Described) -> Feeder:
    """Return the network as a load flow is calculated of it."""
    return Feeder(
        nodes=tuple(Node(id=node.id, rated_v=node.rated_v) for node in described.nodes),
        lines=tuple(Line(**line.model_dump()) for line in described.lines),
        transformers=tuple(Transformer(**each.model_dump()) for each in described.transformers),
        source_node=described.source_node,
        source_pu=described.source_pu,
        source_va=described.source_va,
    )


def limits_of(described: Described) -> Limits:
    """Return the limits to hold within the network."""
    return Limits(
        voltage_pu_min=described.voltage_pu_min,
        voltage_pu_max=described.voltage_pu_max,
        loading_max=described.loading_max,
    )
