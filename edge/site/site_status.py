"""What the site process says of itself: link, outbox, trading, its parts."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from contracts.units import ClockTrust
from edge.links.certificates import fault_of, validity
from edge.links.link import LinkStatus
from edge.links.settings import LinkSettings
from edge.site.status import Plain, encode, part_status, peer_status, process_status

if TYPE_CHECKING:
    from edge.site.parts import Site


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """The site process's state at an instant, made of plain values."""

    site: str
    at: datetime
    clock: ClockTrust
    parts: tuple[Plain, ...]
    trading: Plain | None
    wish: Plain | None
    outbox: Plain
    link: Plain
    process: Plain
    peer: Plain

    def encode(self) -> bytes:
        """Return the status as one line of JSON."""
        return encode({**asdict(self), "at": self.at.isoformat()})


# What a site says that has no broker, by its own choice: nothing of it is lost or late.
NO_LINK: Plain = {"state": "none", "connects": 0, "error": None}


def site_status(site: "Site") -> SiteStatus:
    """Return what somebody on site asks of the site process."""
    outbox, trader = site.outbox.stats(), site.trader
    return SiteStatus(
        site=site.config.site.id,
        at=site.clock.now(),
        clock=site.watch.trust(),
        parts=tuple(part_status(part) for part in site.supervisor.parts),
        trading=None
        if trader is None
        else {
            **trader.stats,
            "waits": trader.waits,
            "plan": trader.told_plan(),
            "own_orders": trader.told_orders(),
            "outlook": trader.told_outlook(),
            "weather": None if trader.own_weather is None else trader.own_weather.told(),
            "prices": None if trader.own_prices is None else trader.own_prices.told(),
        },
        wish=None if site.page_orders is None else site.page_orders.told(),
        outbox={
            "state": outbox.state.value,
            "waiting": 0 if site.link is None else sum(outbox.depth.values()),
            "bytes": sum(outbox.bytes.values()),
            "dropped": outbox.dropped,
            "error": outbox.last_error,
        },
        link=NO_LINK if site.link is None else _link(site.link.status(), site.config.link),
        process=process_status(site.opened_at),
        peer=peer_status(site.end.peer),
    )


def _link(link: LinkStatus, settings: LinkSettings | None) -> Plain:
    certificate = None if settings is None else settings.cert_file
    held = None if certificate is None else validity(certificate)
    return {
        "state": link.state.value,
        "connects": link.connects,
        "error": link.last_error,
        "certificate_ends_at": None if held is None else held.until_at.isoformat(),
        "certificate_fault": fault_of(certificate),
    }
