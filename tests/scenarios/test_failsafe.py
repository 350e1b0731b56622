"""A limit that names no end: whoever falls silent or dies, only the grid operator's own word lifts it."""

import signal
from pathlib import Path
from typing import Any

import pytest

from contracts.control import LimitExport
from contracts.units import epoch_ms
from edge.control.lease import REVERT_S
from tests.support.rigs.fault_matrix import EDGE_MS, MARGIN, TOLERANCE_W
from tests.support.rigs.fault_rig import GRID_OPERATOR, Says, State, fault_rig, sun_site
from tests.support.rigs.gateway import devices_read

SILENT, WIRED = "silent", "wired"
ORDERED_W, FAILSAFE_W = 500, 1500
ORDER_S, HEARTBEAT_S = 40.0, 20.0
SECTIONS: dict[str, dict[str, Any]] = {
    SILENT: {"grid_limits": {"failsafe_export_w": FAILSAFE_W, "heartbeat_s": HEARTBEAT_S, "failsafe_s_min": 3600}},
    WIRED: {"relays": [{"device": "box", "kind": "ripple", "k0": "relay1", "installed_w": 5000}]},
}


def _exports_at_most(power_w: float) -> Says:
    return lambda state: -state["connection_w"] <= power_w + TOLERANCE_W


def _exports_about(power_w: float) -> Says:
    return lambda state: abs(-state["connection_w"] - power_w) <= TOLERANCE_W


def _free(state: State) -> bool:
    return -state["pv_w"] > 0.98 * state["pv_available_w"]


@pytest.mark.slow
async def test_neither_a_silent_operator_nor_a_dead_gateway_lifts_what_has_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order's end while nobody is heard, a failsafe limit and a wired contact under a gateway that was killed."""
    sites = [sun_site(SILENT), sun_site(WIRED, wired=True)]
    async with fault_rig(tmp_path, monkeypatch, sites, sections=SECTIONS) as place:
        await devices_read(place, SILENT, WIRED)
        await place.steadily(WIRED, _free)
        order = await place.order(SILENT, LimitExport(max_w=ORDERED_W), issuer=GRID_OPERATOR, for_s=ORDER_S)
        await place.close_contact(WIRED, 1)
        await place.steadily(SILENT, _exports_at_most(ORDERED_W))
        await place.steadily(WIRED, _exports_at_most(0))
        held_ms, ends_ms = place.now_ms(), epoch_ms(order.expires_at)

        await place.until_ms(ends_ms)
        await place.steadily(SILENT, _exports_about(FAILSAFE_W))
        place.signal(signal.SIGKILL)
        killed_ms = place.now_ms()
        await place.until_ms(killed_ms + int(1000 * (REVERT_S * MARGIN + HEARTBEAT_S)))

        assert place.always(SILENT, _exports_at_most(ORDERED_W), from_ms=held_ms, to_ms=ends_ms - EDGE_MS)
        assert place.always(SILENT, _exports_at_most(FAILSAFE_W), from_ms=held_ms, to_ms=place.now_ms())
        assert place.always(WIRED, _exports_at_most(0), from_ms=held_ms, to_ms=place.now_ms())

        await place.start(SILENT)
        await place.order(SILENT, LimitExport(max_w=4000), issuer=GRID_OPERATOR, for_s=HEARTBEAT_S)
        await place.until(lambda: not _exports_at_most(FAILSAFE_W)(place.latest(SILENT)), "its own word lifts it")
