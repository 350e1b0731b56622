"""The electrical state of a small feeder: node voltages, line and transformer loading, by an AC load flow.

Calculated by power-grid-model (Newton-Raphson on the positive sequence). Power is positive into what draws it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.grid.network import Feeder, ImpossibleNetwork, check_possible

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Flow:
    """The state of a feeder, in the order of its nodes, lines and transformers; loading 1 is rated."""

    voltage_pu: Floats
    line_loading: Floats
    transformer_loading: Floats


class LoadFlow:
    """Calculates states of one feeder, one or many at a time."""

    def __init__(self, feeder: Feeder, *, load_nodes: Sequence[int]) -> None:
        """Prepare the model; ``load_nodes`` are the nodes whose power varies.

        Raises:
            ImpossibleNetwork: A node is named that is not there, or is not connected to the source; or the model
                cannot be built of the values.
        """
        known = {node.id for node in feeder.nodes}
        if missing := [node for node in load_nodes if node not in known]:
            raise ImpossibleNetwork(f"load at node {missing[0]}, which the feeder does not have")
        check_possible(feeder)
        self._feeder = feeder
        self._load_nodes = tuple(load_nodes)
        self._first = max(known) + 1
        self._source = self._first + len(self._load_nodes) + len(feeder.lines) + len(feeder.transformers)
        with _refused(feeder):
            self._model = _model(feeder, self._load_nodes, self._first)

    @property
    def load_nodes(self) -> tuple[int, ...]:
        """Return the nodes whose power varies, in the order of the powers."""
        return self._load_nodes

    def flow(self, *, power_w: Floats, reactive_var: Floats, source_pu: float | None = None) -> Flow:
        """Return the state for the power drawn at each load node."""
        return self.flows(power_w=power_w[None, :], reactive_var=reactive_var[None, :], source_pu=source_pu)[0]

    def flows(self, *, power_w: Floats, reactive_var: Floats, source_pu: float | None = None) -> tuple[Flow, ...]:
        """Return the states for many sets of powers, one set a row, in one batch.

        Args:
            power_w: What is drawn at each load node, a set a row.
            reactive_var: The same of reactive power.
            source_pu: The source's voltage, by default the feeder's own.

        Raises:
            ImpossibleNetwork: No state carries these powers, or the calculation finds none.
        """
        import power_grid_model as pgm

        batch, loads = power_w.shape
        update = pgm.initialize_array(pgm.DatasetType.update, pgm.ComponentType.sym_load, (batch, loads))
        update["id"] = self._first + np.arange(loads)
        update["p_specified"], update["q_specified"] = power_w, reactive_var
        source = pgm.initialize_array(pgm.DatasetType.update, pgm.ComponentType.source, (batch, 1))
        source["id"] = self._source
        source["u_ref"] = self._feeder.source_pu if source_pu is None else source_pu
        with _refused(self._feeder):
            result = self._model.calculate_power_flow(
                symmetric=True,
                update_data={pgm.ComponentType.sym_load: update, pgm.ComponentType.source: source},
                output_component_types=[
                    pgm.ComponentType.node,
                    pgm.ComponentType.line,
                    pgm.ComponentType.transformer,
                ],
                threading=-1,
            )
        voltage = result[pgm.ComponentType.node]["u_pu"]
        if not np.isfinite(voltage).all():
            index = int(np.flatnonzero(~np.isfinite(voltage).all(axis=0))[0])
            raise ImpossibleNetwork(f"node {self._feeder.nodes[index].id} has no voltage; nothing was calculated")
        lines = self._loading(result, pgm.ComponentType.line, batch)
        transformers = self._loading(result, pgm.ComponentType.transformer, batch)
        return tuple(
            Flow(voltage_pu=voltage[index], line_loading=lines[index], transformer_loading=transformers[index])
            for index in range(batch)
        )

    def _loading(self, result: Any, kind: Any, batch: int) -> Floats:
        """Return the loading of a kind of component; a feeder need not have any."""
        found: Floats = result[kind]["loading"] if kind in result else np.empty((batch, 0))
        return found


@contextmanager
def _refused(feeder: Feeder) -> Iterator[None]:
    """Turn what the solver raises into a refusal."""
    # The name is public, though not marked so.
    from power_grid_model.errors import PowerGridError  # type: ignore[attr-defined]

    try:
        yield
    except PowerGridError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ImpossibleNetwork(f"network of {len(feeder.nodes)} nodes has no load flow: {reason}") from error


def _model(feeder: Feeder, load_nodes: tuple[int, ...], first: int) -> Any:
    """Return the calculation model: loads are numbered from ``first`` on, then branches, then the source."""
    import power_grid_model as pgm

    def table(kind: Any, count: int) -> Any:
        return pgm.initialize_array(pgm.DatasetType.input, kind, count)

    nodes = table(pgm.ComponentType.node, len(feeder.nodes))
    nodes["id"] = [node.id for node in feeder.nodes]
    nodes["u_rated"] = [node.rated_v for node in feeder.nodes]
    loads = table(pgm.ComponentType.sym_load, len(load_nodes))
    loads["id"] = first + np.arange(len(load_nodes))
    loads["node"], loads["status"], loads["type"] = load_nodes, 1, pgm.LoadGenType.const_power
    loads["p_specified"] = loads["q_specified"] = 0.0
    next_id = first + len(load_nodes)
    lines = table(pgm.ComponentType.line, len(feeder.lines))
    lines["id"] = next_id + np.arange(len(feeder.lines))
    lines["from_node"] = [line.from_node for line in feeder.lines]
    lines["to_node"] = [line.to_node for line in feeder.lines]
    lines["r1"] = [line.r_ohm for line in feeder.lines]
    lines["x1"] = [line.x_ohm for line in feeder.lines]
    lines["c1"] = [line.c_f for line in feeder.lines]
    lines["i_n"] = [line.current_a_max for line in feeder.lines]
    lines["from_status"] = lines["to_status"] = 1
    lines["tan1"] = 0.0
    next_id += len(feeder.lines)
    transformers = table(pgm.ComponentType.transformer, len(feeder.transformers))
    transformers["id"] = next_id + np.arange(len(feeder.transformers))
    for name, attribute in (
        ("from_node", "from_node"), ("to_node", "to_node"), ("u1", "from_v"), ("u2", "to_v"), ("sn", "rated_va"),
        ("uk", "short_circuit_pu"), ("pk", "copper_loss_w"), ("i0", "no_load_current_pu"), ("p0", "iron_loss_w"),
        ("tap_pos", "tap_position"), ("tap_size", "tap_v"),
    ):  # fmt: skip
        transformers[name] = [getattr(transformer, attribute) for transformer in feeder.transformers]
    transformers["from_status"] = transformers["to_status"] = 1
    # Vector group Dyn5, the usual one of distribution transformers; it turns angles, not magnitudes.
    transformers["winding_from"], transformers["winding_to"] = pgm.WindingType.delta, pgm.WindingType.wye_n
    transformers["clock"], transformers["tap_side"] = 5, pgm.BranchSide.from_side
    transformers["tap_min"], transformers["tap_max"], transformers["tap_nom"] = -16, 16, 0
    next_id += len(feeder.transformers)
    sources = table(pgm.ComponentType.source, 1)
    sources["id"], sources["node"], sources["status"] = next_id, feeder.source_node, 1
    sources["u_ref"], sources["sk"] = feeder.source_pu, feeder.source_va
    return pgm.PowerGridModel(
        {
            pgm.ComponentType.node: nodes,
            pgm.ComponentType.line: lines,
            pgm.ComponentType.transformer: transformers,
            pgm.ComponentType.sym_load: loads,
            pgm.ComponentType.source: sources,
        }
    )
