"""What a site of a class does over a day, for a site that has no history yet: shapes of mean 1 by hour of local day.

Source: mean days of measured sites: household from twelve homes at Fontana, California (EPRI through CityLearn 2022,
MIT), factory from a steel works at Gwangyang (UCI Steel Industry Energy Consumption, CC-BY-4.0, Sathishkumar, Shin,
Cho). Flat where nothing is known.
"""

from enum import StrEnum

import numpy as np

from domain.forecasting.series import Floats, Ints


class LoadClass(StrEnum):
    """What kind of consumer a site is."""

    HOUSEHOLD = "household"
    FACTORY = "factory"
    FLAT = "flat"


SHAPES: dict[LoadClass, tuple[float, ...]] = {
    LoadClass.HOUSEHOLD: (
        0.70,
        0.62,
        0.60,
        0.59,
        0.60,
        0.66,
        0.76,
        0.96,
        1.18,
        1.40,
        1.36,
        1.38,
        1.30,
        1.24,
        1.18,
        1.20,
        1.20,
        1.16,
        1.14,
        1.07,
        1.00,
        0.97,
        0.91,
        0.82,
    ),
    LoadClass.FACTORY: (
        0.32,
        0.20,
        0.17,
        0.17,
        0.16,
        0.16,
        0.16,
        0.19,
        1.85,
        2.06,
        2.00,
        2.01,
        0.26,
        1.86,
        2.02,
        2.00,
        1.98,
        1.39,
        1.34,
        1.41,
        1.26,
        0.41,
        0.33,
        0.32,
    ),
    LoadClass.FLAT: (1.0,) * 24,
}


def shape_at(load_class: LoadClass, local_second: Ints) -> Floats:
    """Return the shape at seconds of the local day, linear between the middles of the hours."""
    hours = np.asarray(SHAPES[load_class])
    shape: Floats = np.interp(np.asarray(local_second) / 3600, np.arange(24) + 0.5, hours, period=24)
    return shape
