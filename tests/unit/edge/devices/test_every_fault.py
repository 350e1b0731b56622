"""A profile with many faults: each is told at the first look, and none that only follows from another."""

from domain.yaml_text import load_yaml
from edge.devices.catalogue import keys_of, known_names, list_profiles
from edge.devices.every_fault import every_fault

MANY = """
id: many
vendor: ACME
models: [X]
kinds: [meter]
sources: ["a list, 2026-01"]
link: {framing: tcp, port: 70000, functions: [3]}
points:
  power: {canonical: active_power_w, address: 70000, type: int16, unit: W, sign: into_asset}
  energy: {canonical: energy_import_wh, address: 10, type: uint32, unit: kWh}
  soc: {canonical: soc_pct, address: 12, unit: V}
  grid: {canonical: grid_power_w, address: 13, unit: W}
  name: {canonical: model, address: 14, type: string}
  limit: {canonical: power_limit_w, address: 40, access: rw, unit: W}
writes:
  limit: {min: 10, max: 5}
  nothing: {min: 0, max: 1}
identify: {soc: "("}
"""
EXPECTED = (
    "status is missing",
    "link.port is 70000, must be less than or equal to 65535",
    "points.power.address is 70000, must be less than or equal to 65535",
    "points.name is a string and needs a count of registers",
    "writes.limit has min 10.0 above max 5.0, so nothing could be written",
    "writes names the point 'nothing', which is not among the points",
    "identify.soc is '(', no pattern: missing ), unterminated subpattern at position 0",
    "points.energy.unit is 'kWh': give the scale that makes it 'Wh', and that as unit",
    "points.soc.unit is 'V', and soc_pct is in %",
    "points.grid.sign is missing: grid_power_w flows both ways",
    "points.grid.type is uint16, and grid_power_w of a meter flows both ways",
)


def test_all_faults_of_a_profile_are_told_at_once() -> None:
    """Whoever makes a map mends it in one go, of its format and beyond it."""
    assert every_fault(keys_of("many", MANY), known=known_names()) == EXPECTED


def test_one_fault_alone_is_told_alone() -> None:
    """What follows from a fault is not one more of them: a point that cannot be is still a point that others name."""
    sound = load_yaml(MANY) | {"status": "one_source", "identify": {"power": "1"}, "writes": {}}
    sound["link"] = {"framing": "tcp", "functions": [3]}
    sound["points"] = {"power": sound["points"]["power"] | {"address": 66000}}
    told = every_fault(sound, known=known_names())
    assert told == ("points.power.address is 66000, must be less than or equal to 65535",)


def test_nothing_is_told_of_what_ships() -> None:
    """The same look at our own maps."""
    assert len(list_profiles()) > 100
    from edge.devices.catalogue import load_profile

    for name in ("kmtronic_relay", "sunspec_generic_int", "goe_charger"):
        raw = load_profile(name).model_dump(mode="json", exclude_defaults=True)
        assert every_fault(raw, known=known_names()) == ()
