"""The power that the running month or quarter charges anyway, from the gateway's history file."""

import asyncio
import logging
import sqlite3
from datetime import UTC, datetime

from contracts.reasons import reason_of
from contracts.units import DELIVERY_INTERVAL_S, DeliveryInterval, epoch_ms
from edge.agent.site_tariff import SiteTariff
from edge.config import SiteConfig
from edge.loop.readings import POWER
from edge.telemetry.history_file import FILE, read_history

log = logging.getLogger(__name__)

_SPAN_S = 7 * 86_400
_QUARTERS_PER_H = 3600 // DELIVERY_INTERVAL_S


class MonthPeak:
    """What is known of it; without a history it is what the tariff charges at least."""

    def __init__(self) -> None:
        """Begin with no power charged."""
        self.power_w = 0.0

    async def refresh(self, config: SiteConfig, tariff: SiteTariff, now: datetime) -> None:
        """Read the highest power so far where it costs something, in a thread."""
        if not tariff.charges_power:
            return
        try:
            # What the running quarter has taken so far is charged by its mean, which may still become less.
            until = DeliveryInterval.containing(now).start
            taken_wh = await asyncio.to_thread(_taken_wh, config, tariff.peak_began_at(now), until)
        except (sqlite3.Error, OSError) as error:
            log.info("highest power of the month not known", extra={"reason": reason_of(error)})
            taken_wh = {}
        self.power_w = tariff.peak_w(taken_wh)


def _taken_wh(config: SiteConfig, first: datetime, until: datetime) -> dict[datetime, int]:
    """Return the energy taken from the grid in each quarter.

    Raises:
        sqlite3.Error: The history cannot be read.
    """
    taken_wh = {}
    first_s, last_s = epoch_ms(first) // 1000, epoch_ms(until) // 1000
    for begin_s in range(first_s, last_s, _SPAN_S):
        end_s = min(begin_s + _SPAN_S, last_s)
        for row in read_history(config.state_dir / FILE, step_s=DELIVERY_INTERVAL_S, first_s=begin_s, last_s=end_s):
            power_w = row.values.get(f"{config.connection.meter}/{POWER}", 0.0)
            taken_wh[datetime.fromtimestamp(row.start_s, UTC)] = round(max(0.0, power_w) / _QUARTERS_PER_H)
    return taken_wh
