"""The site's tariff as its agent plans and orders by it."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.units import DeliveryInterval
from edge.agent.site_tariff import SiteTariff
from edge.config import TradingSection
from edge.control.model import BATTERIES, Reason
from edge.outbox.outbox import Outbox
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE
from tests.unit.edge.agent.test_trader_plan import NOON, _asked, _broadcast, _trader

NIGHT = datetime(2026, 3, 17, 2, 0, tzinfo=UTC)
OWN: dict[str, Any] = {
    "name": "own",
    "title": "cheap at noon",
    "time_zone": "UTC",
    "unit": "ct/kWh",
    "sources": ["test"],
    "import": {
        "parts": [
            {"name": "p", "time_of_use": {"default": 60, "periods": [{"price": 10, "from": "12:00", "to": "13:00"}]}}
        ]
    },
}


def test_without_a_tariff_the_two_numbers_hold() -> None:
    """Today's configuration stays valid."""
    tariff = SiteTariff(TradingSection(import_tariff_mct_per_kwh=25_000, export_tariff_mct_per_kwh=7_000))
    assert tariff.at(NOON, None) == tariff.at(NIGHT, 90_000) == (25_000, 7_000)
    assert not tariff.follows_market


def test_a_ready_tariff_is_read_by_its_name_with_its_hours_and_holidays() -> None:
    """Good Friday in Spain is a valley day."""
    tariff = SiteTariff(TradingSection(tariff="es-2.0td"))
    assert tariff.at(NOON, None)[0] == 28_744
    assert tariff.at(NIGHT, None)[0] == 15_135
    assert tariff.at(datetime(2026, 4, 3, 10, tzinfo=UTC), None)[0] == 15_135


def test_a_tariff_that_follows_the_market_falls_back_to_the_two_numbers() -> None:
    """A price that is not known is no zero."""
    tariff = SiteTariff(TradingSection(tariff="de-dynamic"))
    assert tariff.follows_market
    assert tariff.at(NOON, None) == (30_000, 8_000)
    assert tariff.at(NOON, -100)[1] == 0


def test_orders_lie_between_the_tariffs_of_every_interval_that_they_are_for() -> None:
    """An order that is a gain at the dear hour alone could lose in the cheap one."""
    tariff = SiteTariff(TradingSection(tariff=OWN))
    starts = [DeliveryInterval.containing(NOON + timedelta(minutes=45)).later(step).start for step in range(4)]
    ends = tariff.over(starts, {})
    assert (ends.import_mct_per_kwh, ends.export_mct_per_kwh) == (10_000, 0)


@pytest.mark.parametrize(
    ("tariff", "word"), [("nothing", "neither"), ({"name": "x"}, "title"), ("de-dynamic", "either tariff or spot")]
)
def test_a_configuration_whose_tariff_is_none_is_refused(tariff: Any, word: str) -> None:
    """A misspelled tariff must not silently be thirty cents."""
    more = {"spot": {"import_factor": 1.0}} if word.startswith("either") else {}
    with pytest.raises(ValueError, match=word):
        TradingSection.model_validate({"tariff": tariff, **more})


async def test_the_battery_charges_in_the_tariffs_cheap_hour(tmp_path: Path) -> None:
    """The plan of the shipped agent follows the tariff's hours without any market price."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, tariff=OWN, gate_closure_s=86_400)
        told = _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=[20_000] * 24)
        (request,) = await _asked(trader, clock, told)
        assert (request.resource, request.reason) == (BATTERIES, Reason.PRICE)
        assert request.preferred_w is not None and request.preferred_w > 1_000
