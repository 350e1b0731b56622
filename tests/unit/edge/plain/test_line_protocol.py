"""Lines for a time series database: what is known, of one type each, and nothing that ends a line too early."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.config import SiteConfig
from edge.modbus.point import Reading
from edge.plain.line_protocol import lines
from edge.plain.settings import InfluxSettings
from tests.support.rigs.edge_parts import plain_config

AT = datetime(2026, 3, 17, 11, 37, 37, 500_000, tzinfo=UTC)
NANOSECONDS = 1_773_747_457_500_000_000


def _reading(value: float | str | bool | None, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(value=value, quality=quality)


def test_each_device_is_a_line_of_what_is_known() -> None:
    """A number keeps one type for ever, and a silent device has no number at all."""
    readings = {
        "meter": {
            "active_power_w": _reading(1500),
            "voltage_l1_v": _reading(230.125),
            "frequency_hz": _reading(float("nan")),
            "energy_import_wh": _reading(1.0, Quality.STALE),
            "operating_state": _reading('say "hi"\\'),
            "locked": _reading(True),
        },
        "inverter": {"active_power_w": _reading(-3000.0)},
    }
    assert lines(readings, offline=("inverter",), site="home 1", at=AT).split("\n") == [
        "sitewatt,site=home\\ 1,device=meter online=true,active_power_w=1500,voltage_l1_v=230.125,"
        f'operating_state="say \\"hi\\"\\\\",locked=true {NANOSECONDS}',
        f"sitewatt,site=home\\ 1,device=inverter online=false {NANOSECONDS}",
    ]


@given(device=st.text(min_size=1, max_size=20), text=st.text(max_size=300))
def test_no_name_and_no_text_ends_a_line_too_early(device: str, text: str) -> None:
    """What a device calls itself comes from the device."""
    told = lines({device: {"model": _reading(text)}}, offline=(), site="s", at=AT)
    assert told.count("\n") == 0 and told.endswith(f" {NANOSECONDS}")
    assert told.startswith("sitewatt,site=s,device=")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("influx.local:8086", "is not http://HOST:PORT/write"),
        ("http://:8086/write", "is not http://HOST:PORT/write"),
        ("http://h:99999/write", "is not http://HOST:PORT/write"),
        ("http://farm:secret@h/write", "carries a user or password"),
        ("http://h/write?db=x&precision=s", "names a precision"),
    ],
)
def test_an_address_that_takes_no_lines_is_refused(url: str, complaint: str) -> None:
    """It is said by `edge check`, not by an empty chart a week later."""
    with pytest.raises(ValueError, match=complaint):
        InfluxSettings(url=url)


def test_one_key_of_a_sites_file_asks_for_it() -> None:
    """It is off where nobody names a database."""
    assert SiteConfig.model_validate(plain_config()).influx is None
    asked = SiteConfig.model_validate(plain_config(influx={"url": "http://127.0.0.1:8086/write?db=house"})).influx
    assert asked is not None and asked.host == "127.0.0.1:8086"
