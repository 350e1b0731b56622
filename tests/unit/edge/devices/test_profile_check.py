"""A profile that loads may be wrong all the same; the check says every fault, not the first."""

from importlib.resources import files

import pytest

from edge.devices.catalogue import known_names, list_profiles, load_profile, parse_profile
from edge.devices.points import Kind
from edge.devices.profile_check import TWO_WAY, UNSIGNED, faults
from edge.errors import ConfigError

SMALL = """
id: mine
vendor: Mine
models: [One]
kinds: [meter]
status: one_source
sources: [my own measurement]
link: {framing: tcp, port: 502, unit: 1, functions: [3, 6]}
points:
  power: {canonical: active_power_w, type: int16, address: 7, unit: W, sign: into_asset}
  model: {canonical: model, type: string, address: 20, count: 4}
  limit: {canonical: power_limit_pct, type: uint16, address: 9, unit: "%", access: rw}
writes:
  limit: {min: 0, max: 100, storage: ram}
identify: {model: One}
"""


def _said(*changes: tuple[str, str]) -> str:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return "; ".join(faults(parse_profile("mine", text), known=known_names()))


@pytest.mark.parametrize("name", list_profiles())
def test_every_shipped_profile_passes(name: str) -> None:
    """What we ask of others holds for ours."""
    assert faults(load_profile(name), known=known_names()) == ()


@pytest.mark.parametrize("name", list_profiles())
def test_no_power_that_flows_both_ways_is_unsigned(name: str) -> None:
    """Growatt's AC power is printed as unsigned and falls below zero: -500 W once read 429 MW."""
    profile = load_profile(name)
    if not {Kind.BATTERY, Kind.METER} & set(profile.kinds):
        return
    for point_name, point in profile.points.items():
        if TWO_WAY.match(point.canonical) and point.kind in (None, Kind.BATTERY, Kind.METER):
            assert point.type not in UNSIGNED or point.sign_bits is not None, point_name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[3, 6]",
            "[3, 6, 99]",
            "link.functions has [99]; values are read and written with [1, 2, 3, 4, 5, 6, 15, 16]",
        ),
        ("[3, 6]", "[3, 3, 6]", "link.functions names one twice: [3, 3, 6]"),
        ("[3, 6]", "[4, 6]", "link.functions has no 3, with which points of the holding table are read: [4, 6]"),
        (
            "access: rw}",
            "access: rw, write_function: 5}",
            "limit.write_function is 5, and such a value is written with (6, 16)",
        ),
        (
            "[3, 6]}",
            "[3, 6], barriers: {holding: [70000]}}",
            "link.barriers.holding has 70000, no address from 0 to 65535",
        ),
        ("canonical: active_power_w", "canonical: activ_power_w", "is 'active_power_w' meant?"),
        ("canonical: power_limit_pct", "canonical: limit", "no name in use"),
        (", unit: W,", ", unit: kW,", "points.power.unit is 'kW': give the scale that makes it 'W'"),
        (", sign: into_asset", "", "points.power.sign is missing: active_power_w flows both ways"),
        ("type: int16", "type: uint16", "points.power.type is uint16, and active_power_w of a meter flows both ways"),
        ("kinds: [meter]", "kinds: [meter, battery]", "kinds has battery, and no point is soc_pct"),
        ("identify: {model: One}", "identify: {model: '.'}", "identify.model fits any device"),
    ],
)
def test_each_fault_is_named_with_its_key(old: str, new: str, said: str) -> None:
    """Whoever writes a profile reads what to change."""
    assert said in _said((old, new))


def test_all_faults_are_told_at_once() -> None:
    """Before it loads and after: nobody mends a file fault by fault."""
    found = _said((", unit: W,", ", unit: kW,"), (", sign: into_asset", ""), ("{model: One}", "{model: '.'}"))
    assert found.count("; ") == 2
    broken = SMALL.replace("address: 7", "address: 70000").replace("type: string", "type: text").replace("Mine", "")
    with pytest.raises(ConfigError) as caught:
        parse_profile("mine", broken.replace("vendor: \n", ""))
    assert all(key in str(caught.value) for key in ("points.power.address", "points.model.type", "vendor"))
    loose = SMALL.replace("identify: {model: One}", "identify: {modell: One}").replace("  limit: {min", "  limt: {min")
    with pytest.raises(ConfigError) as caught:
        parse_profile("mine", loose)
    assert all(said in str(caught.value) for said in ("'modell'", "'limt'", "writes.limit is missing"))


def test_an_unsigned_map_was_the_fault_of_a_real_device() -> None:
    """The check would have found what the field did."""
    text = (files("device_profiles") / "growatt_min_tlxh.yaml").read_text(encoding="utf-8")
    wrong = text.replace("active_power_w, type: int32", "active_power_w, type: uint32")
    assert wrong != text
    (said,) = faults(parse_profile("growatt_min_tlxh", wrong), known=known_names())
    assert said.startswith("points.ac_power.type is uint32")
