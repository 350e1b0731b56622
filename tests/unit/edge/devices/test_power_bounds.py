"""A torn sample moves nothing: beyond twice the fuse, or a charge that jumps, is no measurement."""

from datetime import UTC, datetime

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.options import RATED_W_DEFAULT, options_of
from edge.devices.points import Kind
from edge.devices.quality import SOC_CONFIRMATIONS, ChargeGuard
from edge.devices.resolve import CONTROL_VALUES, resolve
from edge.devices.view import View, build_view
from edge.modbus.point import Reading
from tests.support.modbus.devices import Battery, Section

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
FUSE_W = 20_000.0


def _reading(value: float, *, at_s: float) -> Reading:
    return Reading(value=value, quality=Quality.GOOD, source_at=AT, raw=1, monotonic_s=at_s)


def _view(profile: str, *, role: str = "meter", fuse_w: float = FUSE_W, **section: object) -> View:
    settings = Section(id="one", profile=profile, url="tcp://127.0.0.1:1", role=role, **section)  # type: ignore[arg-type]
    options = options_of(settings, profile=load_profile(profile), connection_w=fuse_w)
    return build_view(
        resolve(load_profile(profile)),
        kinds=options.kinds,
        rated_w=options.counted_w,
        power_w_max=options.power_w_max,
    )


@given(power_w=st.floats(-5e6, 5e6, width=32, allow_subnormal=False))
def test_a_power_beyond_twice_the_fuse_is_invalid_for_that_cycle_and_named(power_w: float) -> None:
    """One torn sample of 4 MW once drove a battery to its limit and the generation to zero."""
    view = _view("eastron_sdm630")
    seen = view.snapshot({"power": _reading(power_w, at_s=1)}, 1.5)["active_power_w"]
    beyond = abs(power_w) > 2 * FUSE_W
    event("beyond" if beyond else "within")
    assert (seen.quality is Quality.INVALID, seen.value is None) == (beyond, beyond)
    assert view.quarantine.counts == ({"active_power_w": 1} if beyond else {})
    if beyond:
        assert "outside -40000 to 40000; the sample is not used" in view.quarantine.said["active_power_w"]
    back = view.snapshot({"power": _reading(500.0, at_s=2)}, 2.5)["active_power_w"]
    assert (back.quality, back.value) == (Quality.GOOD, 500.0)


@pytest.mark.parametrize("name", list_profiles())
def test_every_power_that_control_steers_by_has_a_bound(name: str) -> None:
    """A derived one and a stand-in too, whatever the device is to the site."""
    profile = load_profile(name)
    for kind in profile.kinds:
        role = {Kind.METER: "meter", Kind.BATTERY: "hybrid", Kind.INVERTER: "hybrid"}.get(kind, "load")
        view = _view(name, role=role, pv_peak_w=8_000, battery=Battery() if role == "hybrid" else None)
        for canonical, sources in view.sources.items():
            if canonical in CONTROL_VALUES and canonical.endswith("_w"):
                assert all(source.bounds is not None and source.bounds[1] <= 2 * FUSE_W for source in sources)


def test_ratings_bound_what_they_rate_and_a_small_contract_does_not_blind_the_site() -> None:
    """A 5 kW battery does not charge with 15 kW; a contract of 4 kW stands on a fuse that bears more."""
    bounds = _view("fronius_gen24_int", role="hybrid", pv_peak_w=8_000, battery=Battery()).sources
    assert bounds["battery_power_w"][0].bounds == (-8_000.0, 8_000.0)
    assert bounds["pv_power_w"][0].bounds == (-16_000.0, 16_000.0)
    assert _view("eastron_sdm630", fuse_w=4_000).sources["active_power_w"][0].bounds == (-22_080.0, 22_080.0)
    assert _view("eastron_sdm630", fuse_w=RATED_W_DEFAULT).sources["active_power_w"][0].bounds is None


@pytest.mark.parametrize("bad_pct", [0.0, 100.0, 20.0])
def test_one_impossible_charge_is_held_back_and_a_lasting_one_is_believed(bad_pct: float) -> None:
    """A lost word reads as an empty battery; a corrected one stays where it was corrected to."""
    guard = ChargeGuard()
    assert guard.accepts(60.0, now_s=0)
    assert not guard.accepts(bad_pct, now_s=1)
    assert guard.accepts(60.1, now_s=2)
    taken = [guard.accepts(bad_pct, now_s=3.0 + second) for second in range(SOC_CONFIRMATIONS)]
    assert taken == [False] * (SOC_CONFIRMATIONS - 1) + [True]


def test_the_charge_of_before_stands_in_as_old_as_it_is() -> None:
    """Control keeps its battery for the second; it does not take an old value for a new one."""
    view = _view("fronius_gen24_int", role="hybrid", battery=Battery())
    name = view.sources["soc_pct"][0].name
    assert view.snapshot({name: _reading(60.0, at_s=1)}, 1)["soc_pct"].value == 60
    held = view.snapshot({name: _reading(0.0, at_s=2)}, 2)["soc_pct"]
    assert (held.value, held.monotonic_s, held.quality) == (60.0, 1, Quality.GOOD)


@given(drops=st.lists(st.floats(0, 0.1), min_size=5, max_size=50))
def test_a_charge_that_moves_as_batteries_do_is_never_held_back(drops: list[float]) -> None:
    """A guard that doubts a busy battery would blind control for good."""
    guard, soc_pct = ChargeGuard(), 90.0
    for second, drop_pct in enumerate(drops):
        soc_pct -= drop_pct
        assert guard.accepts(soc_pct, now_s=float(second))
