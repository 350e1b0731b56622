"""How far generation must be held back so that the site never feeds in more than it may."""

from edge.control.arbiter import Grant
from edge.control.levers import Lever
from edge.control.model import ControlSettings, Interval, Probe
from edge.control.split import split


def caps(
    generators: tuple[Lever, ...],
    grants: tuple[Grant, ...],
    *,
    budget_w: float,
    lows_w: tuple[float, ...],
    probes: tuple[Probe, ...],
    settings: ControlSettings,
) -> tuple[float | None, ...]:
    """Return the most that each generator may feed out at its terminals as a power, negative or zero.

    ``None`` leaves it free. The caps add up to no more than the budget, so that it holds whatever the sun does.
    Generators that cannot use their share leave it to the others. A hybrid holds its cap at its terminals, where its
    battery counts too: what the battery takes is not fed out, what it gives is.

    Args:
        generators: All that can be capped.
        grants: What requests left to the panels of each.
        budget_w: What all together may feed out, zero or greater; infinite where export has no bound.
        lows_w: The least that the battery behind the terminals of each takes; zero where there is none.
        probes: What the sun likely offers each.
        settings: Of the site.
    """
    panels_w = [max(0.0, -grant.left.min_w) for grant in grants]
    allowed_w = [max(0.0, panel_w - low_w) for panel_w, low_w in zip(panels_w, lows_w, strict=True)]
    if sum(allowed_w) <= budget_w:
        return tuple(
            None if panel_w >= generator.rated_w else -allowed
            for generator, panel_w, allowed in zip(generators, panels_w, allowed_w, strict=True)
        )
    useful_w = [
        min(allowed, max(0.0, settings.pv_probe_share * generator.rated_w - probe.potential_w - low_w))
        for generator, allowed, low_w, probe in zip(generators, allowed_w, lows_w, probes, strict=True)
    ]
    first = split(budget_w, [Interval(0.0, useful) for useful in useful_w])
    spare_w = max(0.0, budget_w - sum(first))
    rooms = [Interval(0.0, max(0.0, allowed - given)) for allowed, given in zip(allowed_w, first, strict=True)]
    second = split(spare_w, rooms)
    return tuple(-(given + more) for given, more in zip(first, second, strict=True))
