"""The SunSpec register images."""

import json
import struct
from importlib import resources
from typing import Any

import pytest

from firmware_sim.bank import Table
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.plant_config import DeviceConfig, DeviceKind
from firmware_sim.sunspec import Model, scale_for
from firmware_sim.sunspec_layout import layout
from tests.support.modbus.simulator import bench, home

_TYPES = {
    "uint16": "u16",
    "int16": "i16",
    "uint32": "u32",
    "acc32": "a32",
    "acc64": "a64",
    "sunssf": "sf",
    "enum16": "e16",
    "bitfield16": "b16",
    "bitfield32": "b32",
    "count": "u16",
    "pad": "pad",
    "string": "str",
    "float32": "f32",
}


def published(model: int) -> dict[str, Any]:
    """Return the alliance's own definition of a model."""
    file = resources.files("sunspec2") / "models" / "json" / f"model_{model}.json"
    group: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["group"]
    return group


@pytest.mark.parametrize("model", [1, 103, 113, 120, 121, 122, 123, 124, 160, 203, 802])
def test_layouts_are_the_published_ones(model: int) -> None:
    """Our tables are typed facts; the alliance's files are the second witness."""
    group = published(model)
    points = [(point, "") for point in group["points"][2:]]
    points += [(point, "1.") for repeated in group.get("groups", []) for point in repeated["points"]]
    ours = layout(model, modules=1 if model == 160 else 0)
    assert [
        (prefix + point["name"], _TYPES[point["type"]], point["size"], (point.get("sf") or "").strip() or None)
        for point, prefix in points
    ] == [(field.name, field.type, field.size, field.scale) for field in ours]
    assert [field.writable for field in ours] == [point.get("access") == "RW" for point, _ in points]


def test_what_is_not_named_reads_as_not_implemented() -> None:
    """A gateway must learn that a value is missing, never zero."""
    model = Model(103, values={"W_SF": 0, "W": 1_500})
    assert model.get("W") == 1_500
    at = {name: 2 * field.offset for name, field in model.fields.items()}
    assert model.image[at["A"] : at["A"] + 2] == b"\xff\xff"
    assert model.image[at["VAr"] : at["VAr"] + 2] == b"\x80\x00"
    assert model.image[at["WH"] : at["WH"] + 4] == b"\0\0\0\0"
    assert model.image[at["VA_SF"] : at["VA_SF"] + 2] == b"\x80\x00"


def test_values_are_held_at_the_bounds_of_their_register() -> None:
    """A wrapped or sentinel-shaped measurement would be a wrong value, not a large one."""
    model = Model(103, values={"W_SF": 0, "W": 99_999, "A_SF": -2, "A": 1_000})
    assert model.get("W") == 32_767
    assert model.get("A") == pytest.approx(655.34)
    model.put({"W": -99_999})
    assert model.get("W") == -32_767


def test_accumulators_wrap_as_counters_do() -> None:
    """Source: SunSpec information model, acc32 rolls over."""
    model = Model(103, values={"WH_SF": 0, "WH": 2**32 + 5})
    assert model.get("WH") == 5


@pytest.mark.parametrize(("value_max", "scale"), [(0, 0), (32_767, 0), (32_768, 1), (610_000, 2)])
def test_scale_for_is_the_finest_that_fits(value_max: float, scale: int) -> None:
    """Resolution at the connection point is what the balance is checked with."""
    assert scale_for(value_max) == scale


def test_reads_may_start_and_end_anywhere_in_the_chain_and_nowhere_outside() -> None:
    """A planner merges across models; a hole in our witness would teach it wrong limits."""
    bank = bench(home()).device.bank
    size = 2
    whole = bank.read_registers(Table.HOLDING, 40_000, 2)
    assert whole == b"SunS"
    while True:
        try:
            whole += bank.read_registers(Table.HOLDING, 40_000 + size, 1)
        except ModbusRefused:
            break
        size += 1
    assert whole.endswith(b"\xff\xff\0\0")
    for start, count in ((0, 5), (1, 70), (60, 125), (size - 3, 3)):
        assert bank.read_registers(Table.HOLDING, 40_000 + start, count) == whole[2 * start : 2 * (start + count)]
    for address, count in ((39_999, 2), (40_000 + size - 1, 2)):
        with pytest.raises(ModbusRefused) as refusal:
            bank.read_registers(Table.HOLDING, address, count)
        assert refusal.value.code is ExceptionCode.ILLEGAL_DATA_ADDRESS


def test_a_float_inverter_says_the_same_in_other_words() -> None:
    """The installer's choice between the two moves every model behind by ten registers."""
    whole = bench(home(device=DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID)))
    floats = bench(home(device=DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID, float_model=True)))
    assert floats.device.bank.addresses[113] == 40_069
    assert floats.device.bank.addresses[124] == whole.device.bank.addresses[124] + 10
    (power_w,) = struct.unpack(">f", floats.device.bank.read_registers(Table.HOLDING, floats.address(113, "W"), 2))
    assert power_w == pytest.approx(whole.read(103, "W"), abs=1)
    assert floats.device.bank.read_registers(Table.HOLDING, floats.address(113, "DCA"), 2) == b"\x7f\xc0\x00\x00"


def test_the_base_moves_with_the_settings() -> None:
    """Devices in the field use 40000, 50000 and 0."""
    config = DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID, base=50_000, model_802=True)
    bank = bench(home(device=config)).device.bank
    assert bank.read_registers(Table.HOLDING, 50_000, 2) == b"SunS"
    assert bank.addresses[1] == 50_002
    assert 802 in bank.addresses
