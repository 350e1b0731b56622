"""What an event still misses, and the cheapest changes that bring it: at the feeder's meter, and within its network.

A network's limits are rows of the programme by what each site does to them, linear around the changes found so far; an
AC load flow with those changes shows what is still passed, and the rows are made anew around it.

Source: successive linear programming of the optimal power flow, Alsac, Bright, Prais, Stott, IEEE Transactions on
Power Systems 5 (1990).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cloud.grid.dispatch import Dispatch, Need, cheapest
from cloud.grid.model import GridSettings
from cloud.grid.network import MARGIN, TOLERANCE, Strain
from cloud.grid.network_watch import Strained
from cloud.grid.offers import Offer
from cloud.grid.state import Event
from contracts.units import SiteId

TRANSFORMER = "transformer"
ROUNDS_MAX = 4
CHANGE_W_MIN = 1.0  # Two rounds that differ by less have found the same.
EFFECT_MIN = 1e-9  # Per unit for each W: what moves a limit by less does not relieve it.


def missing(
    event: Event,
    *,
    offers: Mapping[SiteId, Sequence[Offer]],
    kept: Mapping[SiteId, float],
    settings: GridSettings,
    strained: Strained | None = None,
) -> tuple[Dispatch, dict[SiteId, float], tuple[str, ...]]:
    """Return the cheapest dispatch of what is missing, the change it adds at each site, and what it leaves passed.

    Args:
        event: What is needed at the feeder's meter, and which way.
        offers: What each site can change in all, cheapest first.
        kept: What each site goes on with, in W without sign.
        settings: How the feeder is held.
        strained: Returns how the network stands with changes of the sites' connection powers, where it is known.
    """
    open_offers = _open(offers, kept)
    need = Need(name=TRANSFORMER, need_w=event.need_w - sum(kept.values()))
    rows: dict[str, Need] = {}
    added: dict[SiteId, float] = {}
    dispatch = cheapest(offers=open_offers, needs=[need], duration_s=settings.duration_s)
    sign = event.direction.sign
    seen = strained({site: sign * kept_w for site, kept_w in kept.items()}) if strained is not None else None
    if strained is None or seen is None:
        return dispatch, _by_site(open_offers, dispatch), ()
    before = frozenset(strain.place for strain in seen if strain.beyond > TOLERANCE)
    for _ in range(ROUNDS_MAX):
        rows |= {
            row.name: row
            for strain in seen
            if (row := _row(strain, event, open_offers, added=added, settings=settings, before=before)) is not None
        }
        dispatch = cheapest(offers=open_offers, needs=[need, *rows.values()], duration_s=settings.duration_s)
        found = _by_site(open_offers, dispatch)
        moved_w = max((abs(found.get(site, 0.0) - added.get(site, 0.0)) for site in {*found, *added}), default=0.0)
        if moved_w < CHANGE_W_MIN:
            break
        after = strained({site: sign * (kept.get(site, 0.0) + found.get(site, 0.0)) for site in {*kept, *found}})
        if after is None:
            break
        added, seen = found, after
    left = tuple(sorted(one.place for one in seen if one.direction is event.direction and one.beyond > TOLERANCE))
    return dispatch, found, left


def _open(offers: Mapping[SiteId, Sequence[Offer]], kept: Mapping[SiteId, float]) -> list[Offer]:
    """Return what the offers leave beyond what is kept."""
    left: list[Offer] = []
    for site, site_offers in offers.items():
        used_w = kept.get(site, 0.0)
        for offer in site_offers:
            left_w = max(0.0, offer.change_w_max - used_w)
            used_w = max(0.0, used_w - offer.change_w_max)
            if left_w >= 1:
                left.append(replace(offer, change_w_max=left_w))
    return left


def _by_site(offers: Sequence[Offer], dispatch: Dispatch) -> dict[SiteId, float]:
    added: dict[SiteId, float] = {}
    for offer, change_w in zip(offers, dispatch.changes_w, strict=True):
        added[offer.site] = added.get(offer.site, 0.0) + change_w
    return added


def _row(
    strain: Strain,
    event: Event,
    offers: Sequence[Offer],
    *,
    added: Mapping[SiteId, float],
    settings: GridSettings,
    before: frozenset[str],
) -> Need | None:
    """Return a limit as a need in W at the site that moves it most; ``None`` where no offer moves it.

    The change beyond what is kept must bring the limit in by the margin: what is missing around the changes found so
    far, and what those bring. A limit of the other direction bounds the changes, unless it was passed before any.
    """
    if strain.direction is not event.direction and strain.place in before:
        return None
    per_w = {site: event.direction.sign * strain.effect.get(site, 0.0) for site in {offer.site for offer in offers}}
    reach = max((abs(effect) for effect in per_w.values()), default=0.0)
    if reach < EFFECT_MIN:
        return None
    # A change below the dead band is not ordered, so the margin holds it.
    margin = max(MARGIN[strain.quantity], settings.dead_band_w * reach)
    brought = sum(per_w.get(site, 0.0) * change_w for site, change_w in added.items())
    return Need(
        name=strain.place,
        need_w=(strain.beyond + margin + brought) / reach,
        effect={index: per_w[offer.site] / reach for index, offer in enumerate(offers)},
    )
