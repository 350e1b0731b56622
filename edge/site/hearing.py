"""What the broker brings to a site: commands go on to control, the rest to who waits for it."""

import asyncio
import functools
import logging

from contracts.forecast import ForecastBroadcast
from contracts.market import TradesMessage
from contracts.receipt import Receipt
from contracts.topics import Down, parse, site_topic
from contracts.wire import WireError
from edge.border.messages import Arrived
from edge.links.link import Inbound, Link
from edge.links.settings import Client
from edge.site.parts import Site

log = logging.getLogger(__name__)

# A time service needs the network and seconds; what it does not do in this time it may never do.
CLOCK_WAIT_S = 120.0


async def connect(site: Site, link: Link) -> None:
    """Keep the link, from when certificates can be judged and messages dated; without a clock at all, from a bound."""
    if not await site.watch.trusted(within_s=CLOCK_WAIT_S):
        log.warning("the clock was not set; connecting without", extra={"waited_s": CLOCK_WAIT_S})
    await link.run()


async def hear(site: Site, link: Link) -> None:
    """Take what the broker brings, for ever; a message that is unreadable or makes its hearer fail is left out."""
    zone, name = site.config.site.zone, site.config.site.id
    # AWS IoT Core keeps what it has acknowledged, so there are no receipts.
    settings = site.config.link
    keeps = settings is not None and settings.client is Client.AWS
    channels = [channel for channel in Down if channel is not Down.RECEIPTS or not keeps]
    link.subscribe([site_topic(zone=zone, site=name, channel=channel) for channel in channels])
    async for message in link.messages():
        topic = parse(message.topic)
        if topic is not None and topic.channel is Down.COMMANDS:
            await _pass_on(site, message)
        else:
            site.supervisor.call("messages", functools.partial(_take, site, message), otherwise=None)
        await asyncio.sleep(0)


async def _pass_on(site: Site, message: Inbound) -> None:
    """Pass a command on to control, which judges it; where control is not there for long, it is left out."""
    try:
        if not await site.end.send(Arrived.of(message.payload, retained=message.retained)):
            log.warning("command not passed on", extra={"reason": "control is not there"})
    except WireError as error:
        log.warning("message refused", extra={"topic": message.topic, "reason": str(error)})


def _take(site: Site, message: Inbound) -> None:
    try:
        _deliver(site, message)
    except WireError as error:
        log.warning("message refused", extra={"topic": message.topic, "reason": str(error)})


def _deliver(site: Site, message: Inbound) -> None:
    topic = parse(message.topic)
    channel = topic.channel if topic is not None else None
    if topic is None and site.fleet is not None:
        site.fleet.arrived(message)
    elif channel is Down.RECEIPTS and site.uplink is not None:
        site.uplink.hear(Receipt.decode(message.payload))
    elif site.trader is None:
        return
    elif channel is Down.TRADES:
        site.trader.hear_trades(TradesMessage.decode(message.payload))
    elif channel is Down.OUTLOOK:
        site.trader.hear_forecast(ForecastBroadcast.decode(message.payload))
