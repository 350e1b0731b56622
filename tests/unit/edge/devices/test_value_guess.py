"""What registers could mean by their values: the grid's own, what a display shows, texts."""

import struct

from edge.devices.value_guess import guess, left_over
from edge.modbus.point import Table


def words(form: str, value: float) -> list[int]:
    """Return a value as words, the high one first."""
    raw = struct.pack(form, value)
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def test_the_grids_values_and_what_the_display_shows_are_found() -> None:
    """An installer in front of an unknown meter gets a start without a register list."""
    table = dict(enumerate([2301, 2312, 2298, 0, 5001, 7], 10))
    table |= dict(enumerate(reversed(words(">i", -1234)), 40))
    table |= dict(enumerate(words(">f", 87.5), 50))
    table |= dict(enumerate([0x4163, 0x6D65, 0x204D, 0x6574, 0x6572], 60))
    found = guess({Table.INPUT: table}, seen={"active_power_w": -1234.0, "soc_pct": 87.5}).points
    places = {name: (spec["address"], spec["type"]) for name, spec in found.items()}
    assert places == {
        "active_power_w": (40, "int32"),
        "soc_pct": (50, "float32"),
        "text_input_60": (60, "string"),
        "voltage_l1_v": (10, "uint16"),
        "voltage_l2_v": (11, "uint16"),
        "voltage_l3_v": (12, "uint16"),
        "frequency_hz": (14, "uint16"),
    }
    assert found["active_power_w"]["word_order"] == "little" and found["active_power_w"]["sign"] == "unconfirmed"
    assert all("guess" in spec["note"] for spec in found.values())
    assert left_over({Table.INPUT: table}, found) == ["input 15 held 7"]


def test_nothing_is_guessed_of_nothing() -> None:
    """A device that is off must not become a map."""
    assert guess({Table.HOLDING: dict.fromkeys(range(50), 0)}, seen={"active_power_w": 500.0}).points == {}
