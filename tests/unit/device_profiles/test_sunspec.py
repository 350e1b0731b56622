"""SunSpec points against the definitions of the models, as pysunspec2 ships them."""

import pytest

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.resolve import resolve, worked_example
from edge.modbus.point import DataType
from edge.modbus.sunspec_models import definition, model_points

# Kostal's meters count export below zero, as a signed number: issue 249 of CJNE/ha-sunspec.
BELOW_ZERO = {"m203.TotWhExp": DataType.INT32}
PROFILES = [name for name in list_profiles() if load_profile(name).sunspec is not None]


@pytest.mark.parametrize("name", PROFILES)
def test_every_sunspec_point_is_as_the_models_define_it(name: str) -> None:
    """An offset, a width or a scale factor that differs from the specification would read another point."""
    profile = load_profile(name)
    defined = {
        point.address: point
        for model in worked_example(profile).models
        if definition(model.model_id) is not None
        for point in model_points(model, {})
    }
    wrong = []
    for point_name, point in resolve(profile).points.items():
        if profile.points[point_name].model is None:
            continue
        known = defined.get(point.address)
        data_type = known.data_type if known is not None and point_name in BELOW_ZERO else point.data_type
        assert point_name not in BELOW_ZERO or point.data_type is BELOW_ZERO[point_name]
        if known is None or (known.data_type, known.count, known.scale_register, known.accumulator) != (
            data_type,
            point.count,
            point.scale_register,
            point.accumulator,
        ):
            wrong.append((point_name, point, known))
    assert not wrong
