"""A dishonest site says what is valid and not true."""

from pathlib import Path

import pytest
import yaml

from contracts.metering import MeterReading
from contracts.units import DELIVERY_INTERVAL
from sitewatt.demo import files
from sitewatt.swarm.draw import draw
from sitewatt.swarm.liar import AGAIN, AHEAD, BEYOND, ENERGY_WH_MAX, LIES, readings, register
from sitewatt.swarm.plan import LIAR, FaultKind
from tests.support.manual_clock import ManualClock


@pytest.mark.parametrize("kind", LIES)
def test_each_lie_is_a_valid_message_of_its_kind(kind: str) -> None:
    """What the border refuses for its form tries nothing of what lies behind it."""
    clock = ManualClock()
    for seed in range(20):
        found = readings(kind, seed, clock=clock)
        assert found == readings(kind, seed, clock=clock)
        for reading in found:
            assert MeterReading.decode(reading.encode()) == reading
            assert (reading.export_wh > ENERGY_WH_MAX) == (kind == BEYOND)
            assert (reading.interval_start + DELIVERY_INTERVAL > clock.now()) == (kind == AHEAD)
            assert (reading.version > 1) == (kind == AGAIN)


def test_the_liar_is_registered_where_it_speaks_and_nowhere_else(tmp_path: Path) -> None:
    """Every interval waits for the meters of all that are registered."""
    plans = [draw(seed, speed=15.0, span_s=1_800.0, sites=2) for seed in range(40)]
    for plan in plans:
        speaks = any(fault.kind is FaultKind.LIE for fault in plan.faults)
        path = files.cloud(tmp_path)
        path.write_text(yaml.safe_dump({"registry": {"sites": []}}), encoding="utf-8")
        register(tmp_path, plan)
        sites = yaml.safe_load(path.read_text(encoding="utf-8"))["registry"]["sites"]
        assert [site["id"] for site in sites] == ([LIAR] if speaks else [])
