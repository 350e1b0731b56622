"""A what-if for the grid operator: a low-voltage network and the limits to hold in it."""

from typing import Annotated

from pydantic import Field

from contracts.skills.base import Form

NODES_MAX = 500

_Id = Annotated[int, Field(ge=0, le=10**9)]


class StudyNode(Form):
    """A node, and what is drawn there (generation negative)."""

    id: _Id
    rated_v: float = Field(gt=0)
    power_w: float = 0.0
    reactive_var: float = 0.0


class StudyLine(Form):
    """A line between two nodes."""

    from_node: _Id
    to_node: _Id
    r_ohm: float = Field(ge=0)
    x_ohm: float = Field(ge=0)
    c_f: float = Field(default=0.0, ge=0)
    current_a_max: float = Field(gt=0)


class StudyTransformer(Form):
    """A transformer by its name plate."""

    from_node: _Id
    to_node: _Id
    from_v: float = Field(gt=0)
    to_v: float = Field(gt=0)
    rated_va: float = Field(gt=0)
    short_circuit_pu: float = Field(gt=0, lt=1)
    copper_loss_w: float = Field(gt=0)
    no_load_current_pu: float = Field(default=0.0, ge=0, lt=1)
    iron_loss_w: float = Field(default=0.0, ge=0)
    tap_position: int = Field(default=0, ge=-50, le=50)
    tap_v: float = Field(default=0.0, ge=0)


class StudyOffer(Form):
    """How far the power at a node may be changed, and at what price per kWh of change."""

    node: _Id
    change_w_min: float = Field(default=0.0, le=0)
    change_w_max: float = Field(default=0.0, ge=0)
    price_mct_per_kwh: int = Field(ge=0)


class StudyQuestion(Form):
    """A network, what is drawn in it, what may be changed, and the limits to hold."""

    nodes: tuple[StudyNode, ...] = Field(min_length=2, max_length=NODES_MAX)
    lines: tuple[StudyLine, ...] = Field(default=(), max_length=NODES_MAX)
    transformers: tuple[StudyTransformer, ...] = Field(default=(), max_length=NODES_MAX)
    source_node: _Id
    source_pu: float = Field(default=1.0, gt=0.5, lt=1.5)
    source_va: float = Field(default=1e10, gt=0)
    offers: tuple[StudyOffer, ...] = Field(default=(), max_length=NODES_MAX)
    voltage_pu_min: float = Field(default=0.94, gt=0)
    voltage_pu_max: float = Field(default=1.06, gt=0)
    loading_max: float = Field(default=1.0, gt=0)
    duration_s: float = Field(default=900.0, gt=0)


class StudyState(Form):
    """The worst of a network's state, per unit."""

    voltage_pu_min: float
    voltage_pu_max: float
    line_loading_max: float
    transformer_loading_max: float


class StudyAnswer(Form):
    """The cheapest changes in the order of the offers, and the network before and after them.

    ``within_limits`` is false where the offers do not reach; then the changes come as near as they can.
    """

    within_limits: bool
    changes_w: tuple[int, ...]
    cost_uct: int
    before: StudyState
    after: StudyState
