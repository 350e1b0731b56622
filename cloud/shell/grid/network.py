"""The network of a feeder as the registry has it, ready for load flows, and how it stands."""

from typing import TYPE_CHECKING, Final

from cloud.grid.described import feeder_of, limits_of
from cloud.grid.effect import fresh_observations
from cloud.grid.network import ImpossibleNetwork, Powers
from cloud.grid.state import load_state
from cloud.shell.grid.view import observations, settings_of
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, Registry
from cloud.stores.tables import Tables
from contracts.skills.grid import NetworkPlace, NetworkStatus
from contracts.units import instant

if TYPE_CHECKING:
    from cloud.grid.strain import CalculatedNetwork

PLACES_MAX: Final = 16


def network_of(registry: Registry, feeder: FeederRecord) -> "tuple[CalculatedNetwork | None, str]":
    """Return a feeder's network with its sites at their nodes, or ``None`` and why relief goes by the meter alone."""
    if feeder.network is None:
        return None, f"feeder {feeder.id} has no network in the registry; relief is by its meter alone"
    try:
        from cloud.grid.strain import CalculatedNetwork  # A cloud without the solvers runs too.

        network = CalculatedNetwork(
            feeder_of(feeder.network),
            limits=limits_of(feeder.network),
            site_nodes={site.id: site.node for site in registry.sites_on(feeder.id) if site.node is not None},
            other_shares={node.id: node.other_share for node in feeder.network.nodes},
            meter_node=feeder.network.meter_node,
        )
    except ImportError as error:
        return None, f"{error.name or 'a library'} is not installed; relief is by the feeder's meter alone"
    except ImpossibleNetwork as error:
        return None, f"{error}; relief is by the feeder's meter alone"
    return network, ""


def network_status(tables: Tables, registry: Registry, feeder: FeederRecord) -> NetworkStatus:
    """Return how a feeder's network stands by what its sites told last."""
    on_feeder = registry.sites_on(feeder.id)
    located = sum(site.node is not None for site in on_feeder)
    network, why = network_of(registry, feeder)

    def without(reason: str) -> NetworkStatus:
        return NetworkStatus(
            known=feeder.network is not None, calculated=False, reason=reason, sites=located,
            sites_without_node=len(on_feeder) - located,
        )  # fmt: skip

    item = tables.get(keys.feeder_state(feeder.id))
    if network is None:
        return without(why)
    state = load_state(item.body["state"]) if item is not None else None
    if item is None or state is None or state.surroundings is None:
        return without("the feeder's meter has not been heard; nothing is calculated")
    around = state.surroundings
    seen = fresh_observations(
        observations(tables, on_feeder), now=instant(item.body["at"]), stale_s=settings_of(feeder).stale_s
    )
    if silent := sorted(set(around.sites) - seen.keys()):
        return without(f"{len(silent)} of the sites have fallen silent since the feeder's meter was read")
    powers = Powers(
        sites={site: seen[site].connection_power_w or 0.0 for site in around.sites},
        others_w=around.others_w,
        meter_v=around.meter_v,
    )
    try:
        flow, strains = network.state(powers), network.strains(powers)
    except ImpossibleNetwork as error:
        return without(f"{error}; relief is by the feeder's meter alone")
    return NetworkStatus(
        known=True,
        calculated=True,
        reason=f"{len(powers.sites)} of {located} sites at a node have reported; limits within the network are held",
        sites=located,
        sites_without_node=len(on_feeder) - located,
        at=around.at,
        voltage_pu_min=round(float(flow.voltage_pu.min()), 4),
        voltage_pu_max=round(float(flow.voltage_pu.max()), 4),
        line_loading_max=round(float(flow.line_loading.max(initial=0.0)), 4),
        transformer_loading_max=round(float(flow.transformer_loading.max(initial=0.0)), 4),
        near=tuple(
            NetworkPlace(place=strain.place, beyond_pu=round(strain.beyond, 4)) for strain in strains[:PLACES_MAX]
        ),
    )
