"""What the site does with what control tells it of each cycle, and what it asks of the next."""

import functools

from edge.border.messages import Adopt, Asked, Beat, Frame
from edge.control.model import Request
from edge.loop.seen import CycleSeen
from edge.site.parts import HousePart, Site
from edge.site.stopping import ask_new_start


class ControlTold:
    """What the site does with what control tells."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def cycle(self, cycle: CycleSeen) -> Frame:
        """Record and trade by what a cycle saw, and answer with what is asked of the next."""
        site, call = self._site, self._site.supervisor.call
        site.last = cycle
        call("recorder", lambda: site.recorder.finished(cycle), otherwise=None)
        for part in site.house.values():
            call("house values", functools.partial(_tell_house, part, cycle), otherwise=None)
        if site.trader is not None:
            trader, now_s = site.trader, site.clock.monotonic()
            call("trader", lambda: trader.finished(cycle), otherwise=None)
            # A schedule that raises leaves what it asked last, which expires by its own stamp.
            asked = call("schedule", lambda: _asked(site, trader.requests(now_s)), otherwise=None)
            if asked is not None:
                site.asked, site.asked_s = asked, now_s
        uplink = None if site.uplink is None else site.uplink.stats()
        return Beat(
            asked_s=site.asked_s if site.asked else site.clock.monotonic(),
            requests=site.asked,
            published=0 if uplink is None else uplink.published,
            acknowledged=0 if uplink is None else uplink.acknowledged,
            failing=",".join(site.supervisor.failing())[:1000],
        )

    def live(self, *, period_s: float, for_s: float) -> None:
        """Report more often for a while."""
        if (sampler := self._site.sampler) is not None:
            self._site.supervisor.call("live", lambda: sampler.live(period_s=period_s, for_s=for_s), otherwise=None)

    def greeting(self) -> list[Frame]:
        """Return what is wanted from afar: control may have started without it."""
        remote = self._site.remote
        return [] if remote is None else [Adopt(wanted=remote.wanted)]

    def new_start(self, reason: str) -> None:
        """Stop in order."""
        ask_new_start(self._site, reason)


def _tell_house(part: HousePart, cycle: CycleSeen) -> None:
    part.take(cycle.readings, offline=cycle.offline, taken_s=cycle.taken_s)


def _asked(site: Site, requests: list[Request]) -> tuple[Asked, ...]:
    return tuple(Asked.of(request) for request in requests if _follows_plan(site, request))


def _follows_plan(site: Site, request: Request) -> bool:
    return site.page_orders is None or site.page_orders.follows_plan(request)
