"""How far generation must be held back so that the site never feeds in more than it may."""

from edge.control.arbiter import Grant
from edge.control.levers import Lever
from edge.control.model import ControlSettings, Interval, LeverMemory
from edge.control.split import split

# A generator within this share of its cap is taken to be held by it.
_AT_CAP_SHARE = 0.95


def potential_w(generator: Lever, last: LeverMemory | None, settings: ControlSettings) -> float:
    """Return what a generator would likely feed in if nothing held it, negative or zero.

    A generator that stands at its cap hides what the sun offers: it is probed a step further each cycle, so that
    batteries take up more and more without the step ever importing much.
    """
    if generator.measured_w is None:
        return generator.allowed.min_w
    cap_w = last.value_w if last else None
    held = cap_w is not None and generator.measured_w <= cap_w * _AT_CAP_SHARE and cap_w > generator.allowed.min_w
    probed_w = generator.measured_w - settings.pv_probe_share * generator.rated_w if held else generator.measured_w
    return max(generator.allowed.min_w, probed_w)


def caps(
    generators: tuple[Lever, ...],
    grants: tuple[Grant, ...],
    *,
    budget_w: float,
    memories: tuple[LeverMemory | None, ...],
    settings: ControlSettings,
) -> tuple[float | None, ...]:
    """Return the greatest generation of each generator as a power, negative or zero; ``None`` leaves it free.

    The caps add up to no more than the budget, so that it holds whatever the sun does. Generators that cannot use their
    share leave it to the others.

    Args:
        generators: All that can be capped.
        grants: What requests left to each.
        budget_w: Generation that the site can take, zero or greater; infinite where export has no bound.
        memories: What each was last told.
        settings: Of the site.
    """
    allowed_w = [max(0.0, -grant.left.min_w) for grant in grants]
    if sum(allowed_w) <= budget_w:
        return tuple(
            None if allowed >= generator.rated_w else -allowed
            for generator, allowed in zip(generators, allowed_w, strict=True)
        )
    useful_w = [
        min(allowed, -potential_w(generator, last, settings) + settings.pv_probe_share * generator.rated_w)
        for generator, allowed, last in zip(generators, allowed_w, memories, strict=True)
    ]
    first = split(budget_w, [Interval(0.0, useful) for useful in useful_w])
    spare_w = max(0.0, budget_w - sum(first))
    rooms = [Interval(0.0, max(0.0, allowed - given)) for allowed, given in zip(allowed_w, first, strict=True)]
    second = split(spare_w, rooms)
    return tuple(-(given + more) for given, more in zip(first, second, strict=True))
