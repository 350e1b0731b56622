"""Charging points and a heat pump under real gateways: the plant says what they draw, alive and dead."""

import signal
from pathlib import Path
from typing import Any

import pytest

from contracts.control import LimitImport, LimitLoad, Switch
from firmware_sim.consumers import LEAST_A, PHASE_V, VALIDITY_S, WATCHDOG_S
from firmware_sim.plant_config import DeviceKind
from tests.support.rigs.fault_matrix import MARGIN
from tests.support.rigs.fault_rig import AGGREGATOR, GRID_OPERATOR, Says, State, fault_rig, load_site

ALFEN, HEIDELBERG, PHOENIX = DeviceKind.ALFEN_EVE, DeviceKind.HEIDELBERG_EC, DeviceKind.PHOENIX_EV_ETH
PUMP = DeviceKind.STIEBEL_ISG
SAFE_W = LEAST_A * PHASE_V * 3
TOLERANCE_W = 150.0
PUMP_LOCKED_W, PUMP_NORMAL_W = 0.0, 1_000.0


def _draws(device: DeviceKind, power_w: float) -> Says:
    return lambda state: abs(_power(state, device) - power_w) <= TOLERANCE_W


def _power(state: State, device: DeviceKind) -> float:
    drawn: Any = state["consumers_w"]
    return float(drawn[device.value])


def _imports_at_most(power_w: float) -> Says:
    return lambda state: state["connection_w"] <= power_w + TOLERANCE_W


@pytest.mark.slow
async def test_loads_are_dimmed_and_a_dead_gateway_leaves_each_charger_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowed by order, the pump locked last; after kill -9 to the safe current after 60 s or 15 s, or kept for ever."""
    sites = [
        load_site("a", ALFEN, PUMP),
        load_site("b", HEIDELBERG),
        load_site("c", PHOENIX),
        load_site("d", ALFEN, sun_w=9_000),
    ]
    async with fault_rig(tmp_path, monkeypatch, sites, rests={"d": "surplus"}) as place:
        await place.steadily("a", _draws(ALFEN, 11_000))
        await place.steadily("d", lambda state: SAFE_W - 1 <= _power(state, ALFEN) <= 0.99 * -state["pv_w"])
        await place.steadily("d", lambda state: abs(state["connection_w"]) <= 10 * TOLERANCE_W)

        await place.order("a", LimitImport(max_w=6_500), issuer=GRID_OPERATOR, for_s=3_600)
        await place.order("b", LimitLoad(device=HEIDELBERG.value, max_w=8_000), issuer=AGGREGATOR, for_s=3_600)
        await place.order("c", LimitLoad(device=PHOENIX.value, max_w=7_000), issuer=AGGREGATOR, for_s=3_600)
        await place.steadily("a", _imports_at_most(6_500))
        assert _power(place.latest("a"), ALFEN) >= SAFE_W - 1, "slowed, not stopped"
        await place.steadily("b", _draws(HEIDELBERG, 8_000))
        await place.steadily("c", _draws(PHOENIX, 7_000))
        await place.order("a", Switch(device=PUMP.value, on=False), issuer=AGGREGATOR, for_s=3_600)
        await place.steadily("a", _draws(PUMP, PUMP_LOCKED_W))

        place.signal(signal.SIGKILL)
        killed_ms = place.now_ms()
        for site, device, timer_s in (("a", ALFEN, VALIDITY_S), ("b", HEIDELBERG, WATCHDOG_S)):
            await place.until_ms(killed_ms + int(1_000 * timer_s * MARGIN) + 1_000)
            await place.steadily(site, _draws(device, SAFE_W))
            fell_ms = place.when(site, _draws(device, SAFE_W), from_ms=killed_ms)
            assert fell_ms is not None and fell_ms - killed_ms <= 1_000 * timer_s * MARGIN + 1_000
        assert place.always("c", _draws(PHOENIX, 7_000), from_ms=killed_ms, to_ms=place.now_ms())
        assert _draws(PUMP, PUMP_LOCKED_W)(place.latest("a")), "a pump without a timer keeps what it was told"

        await place.start("a")
        await place.steadily("a", _draws(PUMP, PUMP_NORMAL_W))
