"""Who gets whose energy in one interval of a community that shares without bids; whole Wh, the same for the same input.

Nothing is lost: what members give to one another is the same sum on both sides, and the rest is the grid's.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cloud.market.community import PERMILLE, SharingKey, SharingRules


class Share(NamedTuple):
    """Energy that one member gives another in an interval."""

    seller: str
    buyer: str
    energy_wh: int


def allocate(rules: SharingRules, net_wh: Mapping[str, int]) -> list[Share]:
    """Return who gives whom how much, by the community's key.

    Args:
        rules: The key and what it needs.
        net_wh: By site, what its meter counted in the interval, positive for import. Sites without a reading are left
            out: nothing is shared on an estimate.
    """
    wanted = {site: net for site, net in sorted(net_wh.items()) if net > 0}
    offered = {site: -net for site, net in sorted(net_wh.items()) if net < 0}
    shares: dict[tuple[str, str], int] = {}
    for members in _groups(rules, net_wh):
        inside = {site: wanted[site] for site in members if wanted.get(site)}
        giving = {site: offered[site] for site in members if offered.get(site)}
        taken = _taken(rules, inside, sum(giving.values()))
        given = proportional(sum(taken.values()), giving)
        for share in _pairs(given, taken):
            pair = (share.seller, share.buyer)
            shares[pair] = shares.get(pair, 0) + share.energy_wh
            offered[share.seller] -= share.energy_wh
            wanted[share.buyer] -= share.energy_wh
    return [Share(seller, buyer, energy_wh) for (seller, buyer), energy_wh in sorted(shares.items())]


def proportional(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return whole parts of a total in proportion to weights, which sum to it; the largest remainders are rounded up.

    Source: the method of largest remainders (Hamilton); equal remainders go by name.

    Args:
        total: Zero or greater.
        weights: Zero or greater each.
    """
    whole = sum(weights.values())
    if not total or not whole:
        return {}
    parts = {name: total * weight // whole for name, weight in weights.items()}
    left = total - sum(parts.values())
    for name in sorted(weights, key=lambda one: (-(total * weights[one] % whole), one))[:left]:
        parts[name] += 1
    return parts


def _groups(rules: SharingRules, sites: Iterable[str]) -> list[tuple[str, ...]]:
    """Return who shares with whom, one group after another; at last all with all."""
    levels = [group for groups in rules.levels for group in groups]
    return [*levels, tuple(sorted(sites))]


def _taken(rules: SharingRules, wanted: Mapping[str, int], offered_wh: int) -> dict[str, int]:
    """Return what each member of a group takes of what the group gives."""
    if rules.key is SharingKey.STATIC:
        entitled = {site: offered_wh * rules.shares_permille.get(site, 0) // PERMILLE for site in wanted}
        return {site: taken for site, wh in wanted.items() if (taken := min(wh, entitled[site]))}
    return proportional(min(offered_wh, sum(wanted.values())), wanted)


def _pairs(given: Mapping[str, int], taken: Mapping[str, int]) -> list[Share]:
    """Return shares that add up to what each gives and takes, in the order of names."""
    left = dict(sorted(given.items()))
    found = []
    for buyer, wanted_wh in sorted(taken.items()):
        still_wh = wanted_wh
        for seller, left_wh in left.items():
            moved_wh = min(still_wh, left_wh)
            if moved_wh:
                found.append(Share(seller, buyer, moved_wh))
                left[seller] -= moved_wh
                still_wh -= moved_wh
    return found
