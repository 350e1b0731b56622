"""The network of a feeder as a registry holds it: nodes, lines and transformers, and the limits to hold within it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.grid.described import feeder_of
from cloud.grid.network import ImpossibleNetwork, check_possible
from contracts.skills.study import NODES_MAX, StudyLine, StudyTransformer


class NetworkNode(BaseModel):
    """A node and its rated voltage between phases.

    ``other_share`` weighs how much of what the feeder carries beside its known sites is drawn here; 0 where nothing
    else is connected, as at a joint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0, le=10**9)
    rated_v: float = Field(gt=0, le=1_000_000, allow_inf_nan=False)
    other_share: float = Field(default=1.0, ge=0, le=1_000, allow_inf_nan=False)


class NetworkRecord(BaseModel):
    """A feeder's network below a source, whose voltage and short-circuit power stand still.

    ``meter_node`` is where the feeder's meter measures: where it tells voltages, the source's voltage is the one that
    they show. The planning band of the voltage and the greatest loading are per unit.

    Raises:
        ValueError: A node is named twice or named without being there, or has no way to the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: tuple[NetworkNode, ...] = Field(min_length=2, max_length=NODES_MAX)
    lines: tuple[StudyLine, ...] = Field(default=(), max_length=NODES_MAX)
    transformers: tuple[StudyTransformer, ...] = Field(default=(), max_length=NODES_MAX)
    source_node: int
    source_pu: float = Field(default=1.0, gt=0.5, lt=1.5)
    source_va: float = Field(default=1e10, gt=0, allow_inf_nan=False)
    meter_node: int | None = None
    voltage_pu_min: float = Field(default=0.94, gt=0.5, lt=1)
    voltage_pu_max: float = Field(default=1.06, gt=1, lt=1.5)
    loading_max: float = Field(default=1.0, gt=0, le=2)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        ids = [node.id for node in self.nodes]
        if len(set(ids)) < len(ids):
            raise ValueError(f"node {next(one for one in ids if ids.count(one) > 1)} is listed twice")
        if self.meter_node is not None and self.meter_node not in ids:
            raise ValueError(f"meter_node {self.meter_node} is not listed")
        try:
            check_possible(feeder_of(self))
        except ImpossibleNetwork as error:
            raise ValueError(str(error)) from error
        return self

    def node_ids(self) -> frozenset[int]:
        """Return which nodes there are."""
        return frozenset(node.id for node in self.nodes)
