"""Dumps decoded and values encoded without a device."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.offline import Decoded, decode_registers, encode_value, parse_registers, refusal
from edge.devices.resolve import resolve_point
from edge.errors import ConfigError, ValueRefused
from edge.modbus.point import DataType

WRITABLE = [
    (profile_id, name)
    for profile_id in list_profiles()
    for name, spec in load_profile(profile_id).points.items()
    if spec.is_writable and spec.type is not DataType.STRING
]


def decode(profile: str, **tables: dict[str, int]) -> dict[str, Decoded]:
    """Return what a profile makes of registers."""
    return decode_registers(load_profile(profile), parse_registers(json.dumps(tables)))


def chain(base: int, *models: tuple[int, list[int]]) -> dict[str, int]:
    """Return the registers of a SunSpec device: marker, models, end."""
    words = [0x5375, 0x6E53]
    for model, data in models:
        words += [model, len(data), *data]
    words += [0xFFFF, 0]
    return {str(at): word for at, word in enumerate(words, base)}


def inverter(**points: int) -> list[int]:
    """Return the data of a model 103 with some points set, by their offset from the model's id."""
    data = [0xFFFF] * 50
    for name, word in points.items():
        data[int(name[2:]) - 2] = word
    return data


def test_a_dump_is_walked_from_its_marker() -> None:
    """A common model one register longer, or an unknown model in between, moves all; nothing is read beside it."""
    for before in ([(1, [0] * 66)], [(1, [0] * 65)], [(1, [0] * 66), (64001, [7] * 9)]):
        for base in (40000, 50000, 0):
            answers = decode("sunspec_generic_int", holding=chain(base, *before, (103, inverter(at14=1234, at15=1))))
            assert answers["m103.W"].value == 12_340
            assert answers["m103.W"].canonical_value == -12_340
            assert answers["sunspec_id"].raw == 0x53756E53


def test_a_single_phase_model_stands_in_for_the_three_phase_one() -> None:
    """Models 101, 102 and 103 share one layout."""
    answers = decode("sunspec_generic_int", holding=chain(40000, (1, [0] * 66), (101, inverter(at14=9, at15=0))))
    assert answers["m103.W"].value == 9


def test_a_model_that_is_not_in_the_dump_is_left_out() -> None:
    """The worked example's addresses never apply to a device that showed where its models are."""
    registers = chain(40000, (1, [0] * 66)) | {"40084": 1, "40085": 0}
    assert "m103.W" not in decode("sunspec_generic_int", holding=registers)


def test_without_a_marker_the_worked_example_holds() -> None:
    """A few registers out of a bug report can be read too."""
    assert decode("sunspec_generic_int", holding={"40084": 100, "40085": 0})["m103.W"].canonical_value == -100


def test_derived_values_have_their_own_names_and_our_sign() -> None:
    """Battery power of a hybrid that counts charging and discharging apart."""
    registers = {"40257": 0, "40314": 500, "40334": 20}
    answer = decode("fronius_gen24_int", holding=registers)["battery_power"]
    assert (answer.value, answer.canonical, answer.canonical_value) == (-480, "battery_power_w", 480)
    assert "battery_power" not in decode("fronius_gen24_int", holding={"40257": 0, "40314": 500})


def test_a_sentinel_in_a_part_makes_the_derived_value_invalid() -> None:
    """No number is made of half a truth."""
    answer = decode("fronius_gen24_int", holding={"40257": 0, "40314": 0xFFFF, "40334": 20})["battery_power"]
    assert (answer.value, answer.quality) == (None, Quality.INVALID)


@pytest.mark.parametrize(("flow", "value"), [(0b10, 1500), (0b100, -1500)])
def test_a_sign_comes_from_another_register(flow: int, value: int) -> None:
    """Old Sungrow firmware gives the battery's power without its direction."""
    answers = decode("sungrow_sh", input={"13021": 1500, "13000": flow})
    assert answers["battery_power"].canonical_value == 1500
    assert answers["battery_power_directed"].canonical_value == value


@pytest.mark.parametrize(
    ("registers", "value"),
    [
        ({"625": 0xFE0C, "690": 0xFFFF}, -500),
        ({"625": 0xFE0C, "690": 0}, -500),
        ({"625": 0xFE0C}, -500),
        ({"625": 0x86A0, "690": 1}, 100_000),
        ({"625": 1200, "690": 0}, 1200),
    ],
)
def test_a_split_value_is_right_with_and_without_its_high_word(registers: dict[str, int], value: int) -> None:
    """Old Deye firmware has no high words and reads zero there, also beside a negative value."""
    assert decode("deye_sg0x_lp3", holding=registers)["grid_power"].value == value


@pytest.mark.parametrize(("order", "words"), [(0, (0x4000, 0x44FA)), (1, (0x44FA, 0x4000))])
def test_a_word_order_that_is_a_setting_is_read_first(order: int, words: tuple[int, int]) -> None:
    """Kostal's installer may have turned it."""
    answers = decode("kostal_plenticore", holding={"5": order, "172": words[0], "173": words[1]})
    assert answers["ac_power"].value == 2002.0


def test_a_frequency_times_ten_is_mended_in_our_value_only() -> None:
    """Some SDM630 say 500 for 50 Hz; what the device said stays to be seen."""
    answer = decode("eastron_sdm630", input={"70": 0x43FA, "71": 0x0000})["frequency"]
    assert (answer.value, answer.canonical_value) == (500.0, 50.0)


@pytest.mark.parametrize("text", ["[", "[]", '{"holding": 3}', '{"holding": {"x": 1}}', '{"holding": {"1": 65536}}'])
def test_a_file_that_holds_no_registers_is_refused(text: str) -> None:
    """The sentence says what is wrong with it."""
    with pytest.raises(ConfigError, match="registers"):
        parse_registers(text)


def test_a_value_is_written_where_the_profile_says() -> None:
    """SolaX reads a setting at one address and takes it at another."""
    (write,) = encode_value(load_profile("solax_x_hybrid_g4"), "export_limit", "3000")
    assert (write.address, write.words) == (0x42, (3000,))


def test_a_value_outside_the_range_may_have_a_meaning_of_its_own() -> None:
    """Growatt takes 255 for "no limit", and nothing between 100 and that."""
    (write,) = encode_value(load_profile("growatt_sph"), "active_power_rate", 255)
    assert write.words == (255,)
    with pytest.raises(ValueRefused) as caught:
        encode_value(load_profile("growatt_sph"), "active_power_rate", 200)
    assert refusal(caught.value)["error"]["code"] == "out_of_range"


@pytest.mark.parametrize(("profile_id", "name"), WRITABLE)
def test_what_is_no_number_is_refused(profile_id: str, name: str) -> None:
    """Neither NaN nor an infinity nor something huge reaches a register of any profile."""
    profile = load_profile(profile_id)
    for value in (math.nan, math.inf, -math.inf, 1e30, -1e30):
        with pytest.raises(ValueRefused):
            encode_value(profile, name, value, scale_factor=0)


@given(st.sampled_from(WRITABLE), st.floats(-1e6, 1e6), st.integers(-3, 3))
def test_an_encoded_value_decodes_to_itself_within_a_step(pair: tuple[str, str], value: float, factor: int) -> None:
    """Whatever is written means what was asked, inside the profile's range, or is refused; nothing wraps."""
    profile = load_profile(pair[0])
    spec = profile.points[pair[1]]
    point = resolve_point(profile, pair[1])
    assert point is not None
    try:
        (write,) = encode_value(profile, pair[1], value, scale_factor=factor)
    except ValueRefused:
        return
    if point.table.is_bits:
        return
    words = {str(at): word for at, word in enumerate(write.words, point.address)}
    if point.scale_register is not None:
        words[str(point.scale_register)] = factor & 0xFFFF
    always = spec.model_copy(update={"when": {}})  # The code that it hangs on is no part of what is looked at.
    alone = profile.model_copy(update={"points": {pair[1]: always}, "derived": {}, "capabilities": {}})
    alone = alone.model_copy(update={"defaults": profile.defaults.model_copy(update={"word_order_from": None})})
    read = decode_registers(alone, parse_registers(json.dumps({point.table.value: words})))[pair[1]]
    meant = float(read.raw) if isinstance(read.value, str) and isinstance(read.raw, int) else read.value
    assert isinstance(meant, int | float)
    step = abs(spec.scale) * (10.0**factor if spec.scale_at is not None else 1)
    assert abs(meant - value) <= max(step, abs(value) * 1e-6)
    rule = profile.writes[pair[1]]
    low, high = -math.inf if rule.min is None else rule.min, math.inf if rule.max is None else rule.max
    assert meant in rule.special or low <= meant <= high
