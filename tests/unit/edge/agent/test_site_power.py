"""What the highest power costs a site, and what its tariff's cap and clock allow."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from contracts.units import DELIVERY_INTERVAL, epoch_ms
from edge.agent.month_peak import MonthPeak
from edge.agent.site_tariff import SiteTariff
from edge.config import SiteConfig
from edge.loop.readings import POWER
from edge.telemetry.history_file import FILE, HistoryFile, Row
from edge.trading.plan.steer import Aim, Steer, shaved
from tests.support.rigs.edge_parts import config

NOW = datetime(2026, 3, 17, 12, 7, tzinfo=UTC)
PEAK = {
    "price_per_kw": 4,
    "kw_min": 2.5,
    "vat_percent": 25,
    "highest": 2,
    "when": {"from": "07:00", "to": "20:00"},
    "weight_outside": 0.5,
}


def _config(folder: Path = Path("state"), **more: Any) -> SiteConfig:
    tariff = {
        "name": "power",
        "title": "a price of power",
        "time_zone": "Europe/Berlin",
        "unit": "ct/kWh",
        "sources": ["this test"],
        "import": {"parts": [{"name": "energy", "fixed": 20}]},
        **more,
    }
    return config(trading={"enabled": False, "tariff": tariff}, state_dir=str(folder))


def test_power_is_priced_and_weighed_as_the_tariff_says() -> None:
    """Tax is part of it, one of two highest spans raises their mean by half, the night counts half."""
    tariff = SiteTariff(_config(peak=PEAK).trading)
    assert tariff.peak_mct_per_kw(NOW, peak_w=0) == 4 * 1.25 * 100_000 / 2
    night = datetime(2026, 3, 17, 21, 0, tzinfo=UTC)
    assert (tariff.peak_weight(NOW), tariff.peak_weight(night)) == (1.0, 0.5)
    assert tariff.peak_began_at(NOW) == datetime(2026, 2, 28, 23, 0, tzinfo=UTC)
    free = SiteTariff(config(trading={"tariff": "flat"}).trading)
    assert free.peak_mct_per_kw(NOW, peak_w=0) == 0 and not free.charges_power


def test_power_by_steps_and_seasons_is_planned_at_what_more_of_it_leads_to() -> None:
    """Norway charges a sum by the step of power, Sweden more in winter; a plan needs what the next kW costs."""
    steps = [{"kw_below": 2, "price": 155}, {"kw_below": 5, "price": 195}, {"price": 335}]
    stepped = SiteTariff(_config(peak={"steps": steps, "highest": 2}).trading)
    assert stepped.peak_mct_per_kw(NOW, peak_w=1_000) == 40 / 2 * 100_000 / 2
    assert stepped.peak_mct_per_kw(NOW, peak_w=9_000) == stepped.peak_mct_per_kw(NOW, peak_w=3_000)
    winter = {"price_per_kw": 50, "seasons": [{"months": [11, 12, 1, 2, 3], "price_per_kw": 100}]}
    seasonal = SiteTariff(_config(peak=winter).trading)
    prices = [seasonal.peak_mct_per_kw(at, peak_w=0) for at in (NOW, NOW.replace(month=7))]
    assert prices == [100 * 100_000, 50 * 100_000]


async def test_the_months_highest_power_so_far_is_read_from_the_history(tmp_path: Path) -> None:
    """A quarter of last month and the running one do not count; before the first the tariff's least does."""
    settings = _config(tmp_path, peak={**PEAK, "highest": 1})
    tariff, peak = SiteTariff(settings.trading), MonthPeak()
    await peak.refresh(settings, tariff, NOW)
    assert peak.power_w == 2_500
    now = NOW.replace(minute=0)
    metered = {
        now: 9_000.0,
        now - DELIVERY_INTERVAL: 4_000.0,
        now - timedelta(days=3): -8_000.0,
        now - timedelta(days=30): 8_000.0,
    }
    file = HistoryFile(tmp_path / FILE, now_ms=0)
    file.write(
        Row(step_s=900, start_s=epoch_ms(at) // 1000, cycles=900, values={f"meter/{POWER}": power_w})
        for at, power_w in metered.items()
    )
    file.close()
    await peak.refresh(settings, tariff, NOW)
    assert peak.power_w == 4_000


def test_a_cap_of_the_contract_bounds_the_feed_in_of_control() -> None:
    """A share of the generators' peak, or watts; the connection's own limit where that is less."""
    assert _config().export_w_max == 10_000
    assert _config(feed_in_cap={"percent_of_peak": 60}).export_w_max == 3_000
    assert _config(feed_in_cap={"power_w": 50_000}).export_w_max == 10_000


def test_the_next_time_of_the_wall_clock_is_today_or_tomorrow() -> None:
    """At 12:07 UTC it is 13:07 in Berlin."""
    tariff = SiteTariff(_config().trading)
    assert tariff.next_at(time(14, 0), NOW) == datetime(2026, 3, 17, 13, 0, tzinfo=UTC)
    assert tariff.next_at(time(13, 0), NOW) == datetime(2026, 3, 18, 12, 0, tzinfo=UTC)


def test_storage_gives_what_a_load_takes_beyond_what_is_paid_anyway() -> None:
    """The forecast was 3 kW; at 8 kW a battery that should rest gives 3 kW, and one that charges stops in time."""
    keep = Steer(aim=Aim.KEEP, battery_w_min=0.0, import_w_max=5_000, words="")
    assert shaved(keep, net_w=3_000) == keep
    held = shaved(keep, net_w=8_000)
    assert (held.battery_w_min, held.battery_w_max) == (-3_000, -3_000)
    charge = Steer(aim=Aim.CHARGE_FROM_GRID, battery_w=4_000, import_w_max=5_000, words="")
    assert shaved(charge, net_w=3_000).battery_w == 2_000
    free = Steer(aim=Aim.CHARGE_FROM_GRID, battery_w=4_000, words="")
    assert shaved(free, net_w=90_000) == free
