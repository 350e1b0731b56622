"""A device that keeps a limit for ever when we die is named, and refused where nothing else would hold the feed-in."""

from typing import Any

import pytest

from contracts.clock import SystemClock
from edge.config import SiteConfig
from edge.errors import ConfigError
from edge.setup.failsafe_check import refuse_unsafe
from edge.setup.offline import check_offline
from edge.setup.online import safe_current
from tests.support.rigs.edge_parts import config, plain_config, reading

RIPPLE = {"device": "box", "kind": "ripple", "k0": "relay1", "installed_w": 5_000}


def _site(profile: str, *, export_limit_w: int, relays: bool = False) -> SiteConfig:
    content = plain_config()
    devices: list[dict[str, Any]] = content["devices"]
    devices[1] = {
        "id": "pv",
        "profile": profile,
        "url": "tcp://127.0.0.1:3?unit=1",
        "role": "pv",
        "pv_peak_w": 5_000,
    }
    if relays:
        devices.append({"id": "box", "profile": "kmtronic_relay", "url": "tcp://127.0.0.1:4?unit=1", "role": "relay"})
    connection = {"meter": "meter", "import_limit_w": 17_000, "export_limit_w": export_limit_w}
    return config(devices=devices, connection=connection, relays=[RIPPLE] if relays else [])


def test_a_device_without_a_timer_is_named_with_what_it_means() -> None:
    """The installer reads it at the start and in the status."""
    (found,) = refuse_unsafe(_site("growatt_min_tlxh", export_limit_w=10_000))
    assert found.consequence == "pv keeps its last limit_generation when the gateway dies"


def test_on_an_export_limited_site_it_is_refused_in_one_sentence() -> None:
    """Its limit would stay, but after its next restart nothing would hold the feed-in."""
    with pytest.raises(ConfigError, match=r"device pv keeps .* 3000 W, less than it can generate; it needs a wired"):
        refuse_unsafe(_site("growatt_min_tlxh", export_limit_w=3_000))


def test_a_device_that_lifts_its_limit_by_itself_is_worse_than_one_that_keeps_it() -> None:
    """Two minutes after the gateway died an export-limited site would feed in freely."""
    (found,) = refuse_unsafe(_site("victron_pvinverter", export_limit_w=10_000))
    assert found.consequence == "pv lifts its limit 120 s after the gateway died, whatever was ordered"
    with pytest.raises(ConfigError, match=r"device pv lifts its limit 120 s .* it needs a wired ripple"):
        refuse_unsafe(_site("victron_pvinverter", export_limit_w=3_000))
    assert refuse_unsafe(_site("victron_pvinverter", export_limit_w=3_000, relays=True))


def test_a_wired_relay_beside_it_makes_it_safe() -> None:
    """The wire holds what the gateway cannot."""
    (found,) = refuse_unsafe(_site("growatt_min_tlxh", export_limit_w=3_000, relays=True))
    assert "only beside a wired relay" in found.consequence


def test_a_device_with_a_timer_has_no_weakness() -> None:
    """SunSpec carries one."""
    assert refuse_unsafe(_site("sunspec_generic_int", export_limit_w=0)) == ()


def test_the_check_before_the_start_says_what_the_start_would_refuse() -> None:
    """A configuration that was called sound must not be refused an hour later."""
    unsafe = _site("growatt_min_tlxh", export_limit_w=3_000)
    said = [one for one in check_offline(unsafe, clock=SystemClock()) if one.check == "safety"]
    assert [(one.grade.value, "it needs a wired ripple" in one.said) for one in said] == [("failed", True)]
    weak = _site("growatt_min_tlxh", export_limit_w=10_000)
    said = [one for one in check_offline(weak, clock=SystemClock()) if one.check == "safety"]
    assert [one.grade.value for one in said] == ["warning"]


def test_a_board_without_the_chip_that_is_wired_is_found_before_the_start() -> None:
    """The contact would count as closed for ever, and the site be limited without a reason that anybody sees."""
    wired = config(relays=[{"device": "/dev/gpiochip99", "kind": "14a", "point": "17", "pull": "up", "closed": 0}])
    said = [one for one in check_offline(wired, clock=SystemClock()) if one.check == "safety"]
    assert [(one.grade.value, one.subject) for one in said] == [("failed", "/dev/gpiochip99")]


def test_a_charging_point_that_falls_to_its_own_current_is_named() -> None:
    """What an order left to it ends with the gateway; the installer chooses what it falls to."""
    load = {"id": "ev", "profile": "alfen_eve", "url": "tcp://127.0.0.1:4?unit=1", "role": "load"}
    site = config(devices=[*plain_config()["devices"], {**load, "load": {"rated_w": 11_000}}])
    (found,) = [one for one in refuse_unsafe(site) if one.asset == "ev"]
    assert found.consequence.startswith("ev goes on at its own safe current 60 s after the gateway died")


@pytest.mark.parametrize(("safe_a", "warned"), [(6.0, False), (16.0, True)])
def test_a_safe_current_above_the_least_is_told_in_watts(safe_a: float, warned: bool) -> None:
    """It is read from the charging point itself."""
    load = {"id": "ev", "profile": "heidelberg_ec", "url": "tcp://127.0.0.1:4?unit=1", "role": "load"}
    site = config(devices=[*plain_config()["devices"], {**load, "load": {"rated_w": 11_000}}])
    found = safe_current(site.devices[-1], {"ev_failsafe_current_a": reading(safe_a)})
    assert [one.said for one in found] == (
        ["goes on with 16 A, 11040 W, when the gateway is dead, whatever was ordered"] if warned else []
    )
