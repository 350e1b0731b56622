"""Plans that act: what a site's tariff and rules make of its battery, judged by the plant and not by the gateway."""

import copy
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from contracts.features import Feature
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.topics import Down, site_topic
from contracts.units import DeliveryInterval, ZoneId
from firmware_sim.plant_config import DeviceKind
from tests.support.modbus.simulator import NOON
from tests.support.rigs.fault_matrix import TOLERANCE_W
from tests.support.rigs.fault_rig import (
    BATTERY_W,
    SUN_LOAD_W,
    ZONE,
    FaultRig,
    Says,
    State,
    battery_site,
    fault_rig,
    load_site,
    sun_site,
)
from tests.support.rigs.gateway import until_status

LOW_FEE, PEAK, TARGET, CAP, NEGATIVE, CARS = "low-fee", "peak", "target", "cap", "negative", "cars"
LATER, NOW, SHIFT = DeviceKind.ALFEN_EVE, DeviceKind.HEIDELBERG_EC, DeviceKind.PHOENIX_EV_ETH
PEAK_KW, CAP_W = 1.0, 1_500


def _tariff(*, default_ct: float, noon_ct: float, export_ct: float = 8, **more: Any) -> dict[str, Any]:
    """Return a tariff whose hour of noon has a price of its own."""
    noon = {"price": noon_ct, "from": "12:00", "to": "13:00"}
    return {
        "name": "scenario",
        "title": "one hour of its own",
        "time_zone": "UTC",
        "unit": "ct/kWh",
        "sources": ["this scenario"],
        "import": {"parts": [{"name": "energy", "time_of_use": {"default": default_ct, "periods": [noon]}}]},
        "export": {"parts": [{"name": "feed-in", "fixed": export_ct}]},
        **more,
    }


def _module_3(*, low: tuple[str, str], high: tuple[str, str]) -> dict[str, Any]:
    """Return the ready tariff of §14a module 3 with these hours all year, at the ends of what its ruling allows.

    Low is a tenth of the standard fee, high twice: between narrower zones storage's losses cost more than they bring.
    """
    tariff = copy.deepcopy(yaml.safe_load((resources.files("tariffs") / "de-14a-module-3.yaml").read_text()))
    (fee,) = (part["time_of_use"] for part in tariff["import"]["parts"] if "time_of_use" in part)
    assert {"price", "from", "to"} <= set(fee["periods"][0])
    fee["periods"] = [
        {"price": share * fee["default"], "from": begin, "to": end} for share, (begin, end) in ((2.0, high), (0.1, low))
    ]
    return {**tariff, "time_zone": "UTC"}


SECTIONS: dict[str, dict[str, Any]] = {
    LOW_FEE: {"trading": {"enabled": False, "tariff": _module_3(low=("11:00", "13:00"), high=("17:00", "19:00"))}},
    # A load of 2 kW and 1 kW that is charged anyway: at a price that does not change, only power is worth a plan.
    PEAK: {
        "control": {"idle": "hold"},
        "trading": {
            "enabled": False,
            "tariff": _tariff(default_ct=20, noon_ct=20, export_ct=0, peak={"price_per_kw": 50, "kw_min": PEAK_KW}),
        },
    },
    TARGET: {"trading": {"enabled": False, "tariff": _tariff(default_ct=30, noon_ct=30)}},
    CAP: {"trading": {"enabled": False, "tariff": _tariff(default_ct=30, noon_ct=30, feed_in_cap={"power_w": CAP_W})}},
    NEGATIVE: {
        "trading": {"enabled": False, "spot": {"import_adder_mct_per_kwh": 5_000, "export_adder_mct_per_kwh": 0}}
    },
    CARS: {"trading": {"enabled": False, "tariff": _tariff(default_ct=10, noon_ct=40)}},
}

# In the dear hour a car that has time waits, though its charger would run; one that has none charges, though it would
# not. A shift has its own hours: what it needs by one o'clock it takes now, what it needs in the evening it does not.
CHARGED: dict[str, dict[str, Any]] = {
    LATER.value: {"rest": "on", "goal": {"energy_kwh": 5, "by": "18:00"}},
    NOW.value: {"rest": "off", "goal": {"energy_kwh": 60, "by": "16:00"}},
    SHIFT.value: {
        "rest": "off",
        "schedule": [
            {"energy_kwh": 6, "from": "11:30", "by": "13:00", "days": ["tue"]},
            {"energy_kwh": 30, "from": "18:00", "by": "23:00"},
        ],
    },
}

# Eighty kWh more in two hours is more than it can: it begins at once, at its full power. One that is half full and
# small is charged in the low zone for all that its load will draw in the dear one and after.
BATTERY: dict[str, dict[str, Any]] = {
    TARGET: {"target": {"soc_percent": 90, "by": "14:00"}},
    LOW_FEE: {"capacity_wh": 10_000},
}


def _charges_at_least(power_w: float) -> Says:
    return lambda state: state["battery_w"] >= power_w - TOLERANCE_W


def _draws(device: DeviceKind, power_w: float) -> Says:
    def says(state: State) -> bool:
        drawn: Any = state["consumers_w"]
        return abs(float(drawn[device.value]) - power_w) <= TOLERANCE_W

    return says


def _draws_at_least(device: DeviceKind, power_w: float) -> Says:
    def says(state: State) -> bool:
        drawn: Any = state["consumers_w"]
        return float(drawn[device.value]) >= power_w

    return says


def _takes_about(power_w: float) -> Says:
    return lambda state: abs(state["connection_w"] - power_w) <= TOLERANCE_W


@pytest.mark.slow
async def test_tariff_and_rules_of_a_site_that_trades_with_nobody_move_its_plant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zones of the grid fee (§14a module 3), a price of power, a cap, a charge by a time, cars, negative prices."""
    sites = [battery_site(LOW_FEE), battery_site(PEAK), battery_site(TARGET), sun_site(CAP), sun_site(NEGATIVE)]
    sites.append(load_site(CARS, LATER, NOW, SHIFT))
    sections = {**SECTIONS, CAP: {**SECTIONS[CAP], "site": _under_a_dark_sky(tmp_path)}}
    async with fault_rig(tmp_path, monkeypatch, sites, sections=sections, battery=BATTERY, loads=CHARGED) as place:
        await _tell_price(place, NEGATIVE, price_mct=-2_000)
        await place.steadily(LOW_FEE, _charges_at_least(BATTERY_W))
        await place.steadily(PEAK, _takes_about(1_000 * PEAK_KW))
        await place.steadily(TARGET, _charges_at_least(BATTERY_W))
        await place.steadily(CAP, _takes_about(-CAP_W))
        await place.steadily(CARS, _draws(LATER, 0))
        await place.steadily(CARS, _draws(NOW, 11_000))
        await place.steadily(CARS, _draws_at_least(SHIFT, 4_000))
        await place.steadily(NEGATIVE, _takes_about(0))
        # Paid for taking more than for giving: the sun itself rests, the house is fed by the grid.
        await _tell_price(place, NEGATIVE, price_mct=-20_000)
        await place.steadily(NEGATIVE, _takes_about(SUN_LOAD_W))
        # Without plans storage serves the house: the battery that charged by its plan feeds the load.
        await _tell_price(place, TARGET, price_mct=10_000, off=(Feature.PLANS,))
        await place.steadily(TARGET, _takes_about(0))
        await until_status(place, TARGET, lambda said: "switched off" in _plan_of(said).get("why", ""), "it says why")
        # Who is told of no sun expects none tomorrow, who is told nothing that of its place.
        said = await until_status(place, CAP, lambda said: _sun_tomorrow_w(said) in range(20), "it expects no sun")
        assert said["trading"]["weather"]["source"] == "file"
        await until_status(place, NEGATIVE, lambda said: (_sun_tomorrow_w(said) or 0) > 50, "it expects some sun")


def _under_a_dark_sky(folder: Path) -> dict[str, Any]:
    """Return the section of a site whose own weather forecast, in a file, has no sun for days."""
    hours = (NOON - timedelta(hours=12) + timedelta(hours=hour) for hour in range(120))
    path = folder / "weather.csv"
    path.write_text("start,ghi_w_m2,air_temperature_c\n" + "".join(f"{hour.isoformat()},0,5\n" for hour in hours))
    place = {"latitude_deg": 50.0, "longitude_deg": 10.0}
    return {"id": CAP, "zone": ZONE, "agent": "producer", **place, "weather": {"provider": "file", "file": str(path)}}


def _plan_of(said: dict[str, Any]) -> dict[str, Any]:
    return (said["trading"] or {}).get("plan") or {}


def _sun_tomorrow_w(said: dict[str, Any]) -> int | None:
    """Return the sun that the gateway expects twenty hours from now, in the morning; ``None`` before it forecasts."""
    told = [one for one in (said["trading"] or {}).get("outlook", ()) if (one["kind"], one["by"]) == ("pv", "own")]
    return -told[0]["p50"][-1] if told else None


async def _tell_price(place: FaultRig, site: str, *, price_mct: int, off: tuple[str, ...] = ()) -> None:
    """Publish an outlook as the cloud does: a price for the next two days, and what is switched off."""
    now = place.clock.now()
    told = (price_mct,) * 192
    series = ForecastSeries(
        kind=ForecastKind.PRICE, start=DeliveryInterval.containing(now).start, p10=told, p50=told, p90=told
    )
    message = ForecastBroadcast(zone=ZoneId(ZONE), issued_at=now, series=(series,), off=off)
    topic = site_topic(zone=ZONE, site=site, channel=Down.OUTLOOK)
    async with aiomqtt.Client("127.0.0.1", place.broker_port) as client:
        await client.publish(topic, message.encode(), qos=1, retain=True)
