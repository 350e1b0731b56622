"""Which limits of a feeder's network are passed or near, by AC load flow, and what each site does to them.

The powers are those that the sites told; what the feeder's meter shows beyond them is spread over the nodes by their
shares. Reactive power is not known and counts as none, and the three phases count as alike, so a margin stays.

Source: sensitivities by small change, as in Alsac, Bright, Prais, Stott, IEEE Transactions on Power Systems 5 (1990).
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np

from cloud.grid.model import Direction
from cloud.grid.network import NEAR, Feeder, ImpossibleNetwork, Limits, Powers, Quantity, Strain
from cloud.grid.powerflow import Floats, Flow, LoadFlow
from contracts.units import SiteId

STEP_W = 500.0
STRAINS_MAX = 64  # The worst; whoever relieves those looks again.
PLAUSIBLE_PU = (0.5, 1.5)  # A low-voltage network that is not dead.


class CalculatedNetwork:
    """One feeder's network, its sites at their nodes.

    Args:
        feeder: The network.
        limits: What is held within it.
        site_nodes: At which node each site is connected.
        other_shares: How much of what is drawn beside the sites is drawn at each node, as weights.
        meter_node: Where the feeder's meter measures its voltages, ``None`` where that is not known.

    Raises:
        ImpossibleNetwork: No load flow can be calculated of it; the sentence names the node where one is to blame.
    """

    def __init__(
        self,
        feeder: Feeder,
        *,
        limits: Limits,
        site_nodes: Mapping[SiteId, int],
        other_shares: Mapping[int, float],
        meter_node: int | None = None,
    ) -> None:
        ids = [node.id for node in feeder.nodes]
        loads = [node for node in ids if node != feeder.source_node]
        # A site at the source's own node moves no voltage and no loading within the network.
        self._at = {site: loads.index(node) for site, node in site_nodes.items() if node in loads}
        if unknown := sorted(node for node in site_nodes.values() if node not in ids):
            raise ImpossibleNetwork(f"a site is at node {unknown[0]}, which the feeder does not have")
        self._sites = frozenset(site_nodes)
        shares = np.array([other_shares.get(node, 0.0) for node in loads], dtype=np.float64)
        self._shares = shares / shares.sum() if shares.sum() > 0 else shares
        self._feeder, self._limits = feeder, limits
        self._flow = LoadFlow(feeder, load_nodes=loads)
        self._meter = ids.index(meter_node) if meter_node is not None else None
        self._places = _places(feeder, limits)
        self._near = np.array([-NEAR[quantity] for _, quantity in self._places])
        # The voltage of the source is nobody's here.
        source = ids.index(feeder.source_node)
        self._held = np.ones(len(self._places), dtype=bool)
        self._held[[source, len(ids) + source]] = False

    @property
    def sites(self) -> frozenset[SiteId]:
        """Return the sites whose node is known."""
        return self._sites

    def state(self, powers: Powers) -> Flow:
        """Return voltages and loadings.

        Raises:
            ImpossibleNetwork: No state carries these powers.
        """
        return self._state(powers)[0]

    def strains(self, powers: Powers) -> tuple[Strain, ...]:
        """Return the worst limits that are passed or near, worst first; a site that is not told draws nothing.

        Raises:
            ImpossibleNetwork: No state carries these powers.
        """
        flow, power_w, source_pu = self._state(powers)
        beyond = _beyond(flow, self._limits)
        rows = np.flatnonzero((beyond > self._near) & self._held)
        rows = rows[np.argsort(-beyond[rows], kind="stable")][:STRAINS_MAX]
        if not len(rows):
            return ()
        effects = self._effects(beyond, power_w, source_pu)[rows]
        strains = []
        for row, effect in zip(rows, effects, strict=True):
            place, quantity = self._places[row]
            strongest = effect[int(np.abs(effect).argmax())]
            strains.append(
                Strain(
                    place=place,
                    quantity=quantity,
                    beyond=float(beyond[row]),
                    # What falls when more is drawn is relieved by exporting less.
                    direction=Direction.REDUCE_EXPORT if strongest > 0 else Direction.REDUCE_IMPORT,
                    effect={site: float(effect[at]) for site, at in self._at.items()},
                )
            )
        return tuple(strains)

    def _state(self, powers: Powers) -> tuple[Flow, Floats, float]:
        power_w = self._shares * powers.others_w
        for site, site_w in powers.sites.items():
            if site in self._at:
                power_w[self._at[site]] += site_w
        source_pu = self._feeder.source_pu
        flow = self._flow.flow(power_w=power_w, reactive_var=np.zeros_like(power_w))
        if self._meter is not None and powers.meter_v is not None:
            rated_v = self._feeder.nodes[self._meter].rated_v / sqrt(3)
            source_pu += powers.meter_v / rated_v - float(flow.voltage_pu[self._meter])
            flow = self._flow.flow(power_w=power_w, reactive_var=np.zeros_like(power_w), source_pu=source_pu)
        worst = int(np.abs(flow.voltage_pu - 1).argmax())
        if not PLAUSIBLE_PU[0] < flow.voltage_pu[worst] < PLAUSIBLE_PU[1]:
            # An impedance with a zero too many has a solution too; nobody's sun is taken away for it.
            raise ImpossibleNetwork(
                f"node {self._feeder.nodes[worst].id} would be at {flow.voltage_pu[worst]:.2f} pu, outside "
                f"{PLAUSIBLE_PU[0]:g} to {PLAUSIBLE_PU[1]:g}: the network or its powers are not as told"
            )
        return flow, power_w, source_pu

    def _effects(self, beyond: Floats, power_w: Floats, source_pu: float) -> Floats:
        """Return by how much each limit's excess falls for one W more at each load node: limits by nodes."""
        loads = len(power_w)
        sets = np.repeat(power_w[None, :], loads, axis=0) + STEP_W * np.eye(loads)
        moved = self._flow.flows(power_w=sets, reactive_var=np.zeros_like(sets), source_pu=source_pu)
        return np.stack([(beyond - _beyond(flow, self._limits)) / STEP_W for flow in moved], axis=1)


def _places(feeder: Feeder, limits: Limits) -> list[tuple[str, Quantity]]:
    """Name each limit, in the order of ``_beyond``."""
    share = f"{100 * limits.loading_max:g} %"
    low = [f"voltage at node {node.id} below {limits.voltage_pu_min:g} pu" for node in feeder.nodes]
    high = [f"voltage at node {node.id} above {limits.voltage_pu_max:g} pu" for node in feeder.nodes]
    lines = [f"line {line.from_node}-{line.to_node} above {share}" for line in feeder.lines]
    transformers = [f"transformer {each.from_node}-{each.to_node} above {share}" for each in feeder.transformers]
    names = [*((name, Quantity.VOLTAGE) for name in (*low, *high))]
    return [*names, *((name, Quantity.LOADING) for name in (*lines, *transformers))]


def _beyond(flow: Flow, limits: Limits) -> Floats:
    """Return by how much each limit is passed, per unit; negative within it."""
    return np.concatenate(
        [
            limits.voltage_pu_min - flow.voltage_pu,
            flow.voltage_pu - limits.voltage_pu_max,
            flow.line_loading - limits.loading_max,
            flow.transformer_loading - limits.loading_max,
        ]
    )
