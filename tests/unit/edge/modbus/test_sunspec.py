"""The SunSpec walk goes by the reported lengths, and the points are pysunspec2's."""

from collections.abc import Sequence

import pytest

from edge.errors import DeviceImplausible
from edge.modbus.codec import decode
from edge.modbus.point import DataType
from edge.modbus.sunspec import MARKER, Model, walk_image
from edge.modbus.sunspec_models import model_points, point_at


def chain(base: int, models: Sequence[tuple[int, int]]) -> dict[int, int]:
    image = {base: MARKER[0], base + 1: MARKER[1]}
    address = base + 2
    for model_id, length in models:
        image |= {address + 2 + at: 0 for at in range(length)}
        image[address], image[address + 1] = model_id, length
        address += 2 + length
    image[address], image[address + 1] = 0xFFFF, 0
    return image


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_models_are_found_where_their_lengths_put_them(base: int) -> None:
    """A model of 65 registers instead of 66 moves everything after it."""
    found = walk_image(chain(base, [(1, 65), (103, 50), (203, 105), (203, 105), (160, 48)]))
    assert found is not None
    assert [(model.model_id, model.instance, model.address - base) for model in found.models] == [
        (1, 1, 2),
        (103, 1, 69),
        (203, 1, 121),
        (203, 2, 228),
        (160, 1, 335),
    ]
    assert found.address(103, 14) == base + 83
    assert found.address(203, 18, instance=2) == base + 246
    assert found.address(103, 60) is None
    assert found.address(802, 2) is None


def test_no_marker_gives_no_map_and_a_chain_without_end_is_refused() -> None:
    """A device that is no SunSpec device is not an error; one that loops is."""
    assert walk_image({40000: 1, 40001: 2}) is None
    endless = {40000: MARKER[0], 40001: MARKER[1]} | dict.fromkeys(range(40002, 40600), 1) | {40003: 0}
    with pytest.raises(DeviceImplausible, match="has not ended"):
        walk_image({at: (1 if at % 2 == 0 else 0) for at in range(40002, 41000)} | {40000: MARKER[0], 40001: MARKER[1]})
    cut = {at: word for at, word in endless.items() if at < 40004}
    found = walk_image(cut)
    assert found is not None
    assert [model.model_id for model in found.models] == [1]


def test_a_chain_that_ends_in_whatever_lies_there_keeps_its_models() -> None:
    """A length that no device can have is no model's; the inverter before it was once not read for it."""
    image = {40000: MARKER[0], 40001: MARKER[1], 40002: 1, 40003: 66, 40070: 103, 40071: 50, 40122: 64200, 40123: 60000}
    found = walk_image(image)
    assert found is not None and [model.model_id for model in found.models] == [1, 103]


def test_inverter_points_carry_their_scale_register_and_sentinels() -> None:
    """Model 103 as the worked chain has it: W at offset 14, its factor at 15."""
    model = Model(model_id=103, instance=1, address=40070, length=50)
    power = point_at(model, 14, {})
    assert power is not None
    assert (power.name, power.data_type, power.scale_register, power.sentinels) == (
        "W",
        DataType.INT16,
        40085,
        (0x8000,),
    )
    assert decode(power, {40084: 0xFF38, 40085: 0xFFFF}).value == -20.0
    state = next(point for point in model_points(model, {}) if point.name == "St")
    assert decode(state, {state.address: 4}).value == "MPPT"


def test_repeating_groups_follow_the_count_register_or_the_length() -> None:
    """The number of MPPT modules differs by device; their block moves with it."""
    model = Model(model_id=160, instance=1, address=0, length=8 + 20 * 4)
    names = [point.name for point in model_points(model, {})]
    assert "module.4.DCW" in names
    assert "module.5.DCW" not in names
    points = {point.name: point for point in model_points(model, {})}
    assert points["module.2.DCW"].address - points["module.1.DCW"].address == 20
    assert points["module.2.DCW"].scale_register == points["DCW_SF"].address


def test_a_shortened_model_gives_only_points_that_are_there() -> None:
    """A value without its factor would be read raw."""
    model = Model(model_id=103, instance=1, address=0, length=13)
    names = [point.name for point in model_points(model, {})]
    assert "W" not in names
    assert "A" in names
