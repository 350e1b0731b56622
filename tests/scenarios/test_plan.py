"""Plans that act: what a site's tariff and rules make of its battery, judged by the plant and not by the gateway."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.rigs.fault_matrix import TOLERANCE_W
from tests.support.rigs.fault_rig import BATTERY_W, Says, battery_site, siege

CHEAP = "cheap"


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


SECTIONS: dict[str, dict[str, Any]] = {
    CHEAP: {"trading": {"enabled": False, "tariff": _tariff(default_ct=40, noon_ct=5)}},
}


def _charges_at_least(power_w: float) -> Says:
    return lambda state: state["battery_w"] >= power_w - TOLERANCE_W


@pytest.mark.slow
async def test_a_site_that_trades_with_nobody_charges_in_the_cheap_hour_of_its_tariff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No market and no outlook: the tariff of the site's file and its own load are enough to plan."""
    async with siege(tmp_path, monkeypatch, [battery_site(CHEAP)], sections=SECTIONS) as place:
        await place.steadily(CHEAP, _charges_at_least(BATTERY_W))
        assert place.latest(CHEAP)["connection_w"] > BATTERY_W
