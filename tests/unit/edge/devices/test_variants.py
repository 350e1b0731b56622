"""One profile for devices that differ: by firmware, by a code, by how many blocks they have, by how they count."""

from typing import Any

import pytest

from contracts.units import Quality
from edge.devices.catalogue import load_profile, parse_profile
from edge.devices.condition import Condition, version
from edge.devices.offline import Registers, decode_registers
from edge.devices.profile import Profile
from edge.devices.resolve import resolve
from edge.devices.view import build_view
from edge.errors import ConfigError
from edge.modbus.point import Reading, Table
from edge.modbus.sunspec import walk_image

HEAD = """
id: acme
vendor: Acme
models: [One]
kinds: [meter]
status: one_source
sources: [none]
link: {framing: tcp, functions: [3]}
points:
"""
BY_FIRMWARE = """
  firmware: {canonical: firmware_version, type: string, address: 0, count: 4}
  code: {canonical: device_type, address: 9}
  power_old:
    {canonical: active_power_w, type: int16, address: 20, sign: into_asset, when: {firmware: {below: "1.10"}}}
  power_new:
    {canonical: active_power_w, type: int32, address: 20, sign: into_asset, when: {firmware: {at_least: "1.10"}}}
  voltage_a: {canonical: voltage_l1_v, address: 30, scale: 0.1, unit: V, when: {code: 5}}
  voltage_b: {canonical: voltage_l1_v, address: 30, scale: 0.01, unit: V, when: {code: [6, 1280]}}
"""


def acme(points: str) -> Profile:
    """Return a profile with these points."""
    return parse_profile("acme", HEAD + points)


def words(text: str) -> dict[int, int]:
    """Return a text as four registers from address 0."""
    raw = text.encode().ljust(8, b"\0")
    return {at: int.from_bytes(raw[2 * at : 2 * at + 2], "big") for at in range(4)}


def decoded(profile: Profile, image: dict[int, int]) -> dict[str, Any]:
    """Return the good values of a dump, by canonical name."""
    found = decode_registers(profile, Registers(tables={Table.HOLDING: image}))
    return {one.canonical: one.canonical_value for one in found.values() if one.quality is Quality.GOOD}


@pytest.mark.parametrize(
    ("firmware", "code", "power_w", "volts"),
    [("V1.9", 5, 1, 2301.0), ("V1.9.9", 6, 1, 230.1), ("V1.10", 1280, 65_636, 230.1), ("V2", 7, 65_636, None)],
)
def test_a_point_exists_where_its_condition_holds(firmware: str, code: int, power_w: int, volts: float | None) -> None:
    """What a register means depends on the firmware and the model: 1.10 is later than 1.9."""
    image = words(firmware) | {9: code, 20: 1, 21: 100, 30: 23_010}
    found = decoded(acme(BY_FIRMWARE), image)
    assert found["active_power_w"] == power_w and found.get("voltage_l1_v") == volts


def test_what_is_not_told_fulfils_no_condition() -> None:
    """Nothing is guessed about a device that does not say what it is."""
    resolved = resolve(acme(BY_FIRMWARE), told={"code": "5"})
    assert set(resolved.points) == {"firmware", "code", "voltage_a"}


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("  a: {canonical: power_w, address: 1, when: {b: 1}}", "points.a.when names the point 'b'"),
        ("  a: {canonical: power_w, address: 1, when: {a: {}}}", "asks for nothing"),
        ("  a: {canonical: power_w, address: 1, when: {a: {below: x}}}", "holds no number"),
        ("  a: {canonical: power_w, address: 1, when: {a: 1}}", "has a condition itself"),
        ("  a: {canonical: energy_import_wh, address: 1, counter: {counts_down: true}}", "needs wraps_at_wh"),
        ("  a: {canonical: clock_local_s, type: clock, address: 1, access: rw}", "is a clock, which is only read"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(points: str, said: str) -> None:
    """When it is loaded, not when the device is met."""
    with pytest.raises(ConfigError, match=said):
        acme(points)


def test_versions_are_compared_number_by_number() -> None:
    """Text would put 1.10 before 1.9, and V1.0 beside 1."""
    assert version("V1.10") > version("1.9") and version("1.0") == version("v1") and version("none") == ()
    assert Condition(at_least="2.0").holds("2") and not Condition(at_least="2.0.1").holds("2.0")
    assert not Condition(below="2").holds("no version")


def mppt(inputs: list[int], *, battery: bool = False) -> dict[int, int]:
    """Return a SunSpec device with model 160 for so many inputs, and a battery's model where asked for."""
    length = 8 + 20 * len(inputs)
    image = {40000: 0x5375, 40001: 0x6E53} | dict.fromkeys(range(40002, 40004 + length), 0)
    image |= {40002: 160, 40003: length}
    image |= {40002 + 21 + 20 * number: power_w for number, power_w in enumerate(inputs)}
    end = 40004 + length
    if battery:
        image |= dict.fromkeys(range(end, end + 28), 0) | {end: 124, end + 1: 26}
        end += 28
    return image | {end: 0xFFFF, end + 1: 0}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12])
def test_all_blocks_of_a_repeating_model_are_read_and_summed(count: int) -> None:
    """An inverter with three strings generates with three, one with a single string has power too."""
    profile = load_profile("sunspec_generic_int")
    image = mppt([1_000 + number for number in range(count)])
    found = decode_registers(profile, Registers(tables={Table.HOLDING: image}))
    assert found[f"m160.DCW[{count}]"].canonical == f"dc{count}_power_w" and f"m160.DCW[{count + 1}]" not in found
    assert found["m160.PV_all"].canonical_value == -sum(range(1_000, 1_000 + count))


def test_an_input_that_says_that_it_is_not_there_counts_nothing() -> None:
    """Model 160 has room for more inputs than are built in."""
    profile = load_profile("sunspec_generic_int")
    for inputs, power_w in (([1_000, 0xFFFF, 500, 0xFFFF], -1_500), ([0xFFFF, 0xFFFF], None)):
        found = decode_registers(profile, Registers(tables={Table.HOLDING: mppt(inputs)}))
        assert found["m160.PV_all"].canonical_value == power_w


def test_with_a_battery_only_the_first_inputs_are_strings() -> None:
    """The battery often has the last ones: they would look like generation."""
    profile = load_profile("sunspec_generic_int")
    image = mppt([1_000, 2_000, 700], battery=True)
    found = decode_registers(profile, Registers(tables={Table.HOLDING: image}))
    assert "m160.PV_all" not in found and found["m160.PV"].canonical_value == -3_000
    view = build_view(resolve(profile, walk_image(image)), rated_w=10_000)
    assert [source.name for source in view.sources["pv_power_w"]] == ["m160.PV"]


def counted(habit: str, shown_wh: list[float]) -> list[float | None]:
    """Return what becomes of a counter that shows this, every 10 s."""
    profile = acme(f"  a: {{canonical: energy_import_wh, type: uint32, address: 1, unit: Wh, counter: {habit}}}")
    view = build_view(resolve(profile), rated_w=100_000)
    levels: list[float | None] = []
    for step, value in enumerate(shown_wh):
        reading = Reading(value=value, raw=int(value), quality=Quality.GOOD, monotonic_s=10.0 * step)
        found = view.snapshot({"a": reading}, 10.0 * step)["energy_import_wh"]
        levels.append(found.value if found.quality is Quality.GOOD else None)  # type: ignore[arg-type]
    return levels


def test_a_counter_that_goes_round_goes_on() -> None:
    """A register of 1 MWh is full after a year; the energy of that hour counts."""
    assert counted("{wraps_at_wh: 1000000}", [999_900, 999_950, 10, 60]) == [999_900, 999_950, 1_000_010, 1_000_060]


def test_a_fall_that_no_round_explains_is_no_round() -> None:
    """A torn word in the middle of the range is quarantined as ever."""
    assert counted("{wraps_at_wh: 1000000}", [500_000, 10, 500_050]) == [500_000, None, 500_050]
    assert counted("{}", [999_950, 10, 999_990]) == [999_950, None, 999_990]


def test_a_counter_that_falls_counts_what_it_lost() -> None:
    """A negative counter read as unsigned falls while energy flows."""
    top = 2**32
    shown: list[float] = [top - 1_000, top - 1_050, top - 1_100]
    assert counted(f"{{counts_down: true, wraps_at_wh: {top}}}", shown) == [1_000, 1_050, 1_100]


def test_a_counter_that_wakes_up_with_zero_has_no_value_then() -> None:
    """However long it lasts, no reading of it is taken for a new level."""
    levels = counted("{zero_is_no_value: true}", [0, 0, 70_000, *[0.0] * 30, 70_010])
    assert levels == [None, None, 70_000, *[None] * 30, 70_010]


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ([2026, 3, 17, 12, 34, 56], 1_773_750_896),
        ([26, 3, 17, 12, 34, 56], 1_773_750_896),
        ([0x1A03, 0x110C, 0x2238], 1_773_750_896),
        ([2026, 2, 30, 12, 0, 0], None),
        ([2026, 3, 17, 25, 0, 0], None),
        ([0, 0, 0, 0, 0, 0], None),
        ([0xFFFF] * 6, None),
    ],
)
def test_a_clock_of_several_registers_is_one_value(shown: list[int], seconds: int | None) -> None:
    """Whole years, years of the century, two parts a register; what is no date is no value."""
    profile = acme(f"  a: {{canonical: clock_local_s, type: clock, count: {len(shown)}, address: 1, unit: s}}")
    found = decode_registers(profile, Registers(tables={Table.HOLDING: dict(enumerate(shown, 1))}))
    assert found["a"].value == seconds and (found["a"].quality is Quality.GOOD) is (seconds is not None)
