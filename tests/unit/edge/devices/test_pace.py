"""What control steers by is read at its pace, and who cannot be says so before anything is steered."""

import pytest

from contracts.clock import SystemClock
from edge.devices.catalogue import list_profiles, load_profile, parse_profile
from edge.devices.options import DeviceOptions
from edge.devices.pace import slow_values
from edge.devices.points import DerivedSpec
from edge.devices.profile import Profile
from edge.devices.recipes import Lever
from edge.devices.resolve import CONTROL_VALUES, resolve
from edge.devices.view import build_view
from edge.setup.failsafe_check import slow_levers
from edge.setup.offline import check_offline
from tests.support.rigs.edge_parts import config, plain_config

SLOW = """
id: slow_pv
vendor: Mine
models: [One]
kinds: [inverter, meter]
status: one_source
sources: [my own measurement]
link: {framing: tcp, port: 502, unit: 1, functions: [3, 6]}
points:
  power: {canonical: active_power_w, type: int16, address: 7, unit: W, sign: into_asset}
  dc: {canonical: dc_power_w, type: int16, address: 8, unit: W, poll: counter}
  limit: {canonical: power_limit_pct, type: uint16, address: 9, unit: "%", access: rw}
derived:
  pv: {canonical: pv_power_w, plus: [dc], unit: W, sign: out_of_asset}
writes:
  limit: {min: 0, max: 100, storage: ram}
capabilities:
  limit_generation:
    base: configured
    modes: {limit: [{write: {limit: limit_pct}}]}
    restore: [{write: {limit: 100}}]
    fallback: {direction: keeps}
"""


def _slowest_s(profile: Profile, canonical: str) -> float:
    """Return how seldom the worst part of a quantity is read, over everything that can stand for it."""
    resolved = resolve(profile)
    periods = [0.0]
    for source in build_view(resolved, rated_w=1e6).sources.get(canonical, ()):
        spec = source.spec
        names = (*spec.plus, *spec.minus) if isinstance(spec, DerivedSpec) else (source.name,)
        periods += [profile.link.period_s(resolved.points[name].poll_class) for name in names]
    return max(periods)


@pytest.mark.parametrize("name", list_profiles())
def test_no_shipped_profile_feeds_control_from_a_slow_point(name: str) -> None:
    """A sum is as old as its oldest part: 30 s old generation once curtailed a healthy site for 20 s of every 30."""
    profile = load_profile(name)
    for canonical in CONTROL_VALUES:
        assert _slowest_s(profile, canonical) <= 1.0, canonical
    for kind in profile.kinds:
        options = DeviceOptions(kinds=frozenset({kind}))
        assert slow_values(profile, options, is_connection_meter=kind == "meter") == []


def test_a_lever_that_cannot_be_kept_is_named_with_the_point_and_its_period() -> None:
    """A profile may ask for a slow poll; the installer then reads which lever that costs."""
    (slow,) = slow_values(parse_profile("slow_pv", SLOW), DeviceOptions())
    assert (slow.canonical, slow.point, slow.lever) == ("pv_power_w", "dc", Lever.LIMIT_GENERATION)
    assert slow.consequence("pv1") == (
        "pv1 reads pv_power_w (dc) every 10 s and limit_generation needs it every 5 s: it is not kept meanwhile"
    )


def test_the_start_and_the_check_say_which_lever_is_not_kept(tmp_path: pytest.TempPathFactory) -> None:
    """`edge check` tells it before the gateway runs, the status while it does."""
    (tmp_path / "slow_pv.yaml").write_text(SLOW, encoding="utf-8")  # type: ignore[operator]
    content = plain_config()
    url = "tcp://127.0.0.1:3?unit=1"
    content["devices"][1] = {"id": "pv", "profile": "slow_pv", "url": url, "role": "pv", "pv_peak_w": 5_000}
    content["devices"][1]["trust"] = "one-source"
    site = config(devices=content["devices"], profile_dir=str(tmp_path))
    assert [one.asset for one in slow_levers(site)] == ["pv"]
    said = [finding for finding in check_offline(site, clock=SystemClock()) if finding.check == "pace"]
    assert len(said) == 1 and "limit_generation" in said[0].said
