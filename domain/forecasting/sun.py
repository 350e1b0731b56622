"""Where the sun stands and what a clear sky lets through, in numpy alone.

Angles are in radians, azimuth clockwise from north, irradiance in W per square metre.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from domain.forecasting.series import Floats, Ints

SOLAR_CONSTANT_W_M2 = 1361.0
_J2000 = int(datetime(2000, 1, 1, 12, tzinfo=UTC).timestamp())


@dataclass(frozen=True, eq=False, kw_only=True)
class SunPosition:
    """Cosine of the zenith angle (negative at night), azimuth, and irradiance outside the atmosphere."""

    cos_zenith: Floats
    azimuth: Floats
    extraterrestrial_w_m2: Floats


def sun_position(epoch_s: Ints | Floats, *, latitude_deg: float, longitude_deg: float) -> SunPosition:
    """Return the sun's position at instants in epoch seconds, within some hundredths of a degree.

    Source: low-precision solar coordinates, Astronomical Almanac, section C (as in Michalsky, Solar Energy 40 (1988)).
    """
    days = (np.asarray(epoch_s, dtype=float) - _J2000) / 86_400
    anomaly = np.radians((357.528 + 0.9856003 * days) % 360)
    longitude = np.radians((280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly)) % 360)
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))
    declination = np.arcsin(np.sin(obliquity) * np.sin(longitude))
    sidereal = np.radians((280.46062 + 360.98564737 * days + longitude_deg) % 360)
    hour = sidereal - ascension
    latitude = np.radians(latitude_deg)
    cos_zenith = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    south = np.cos(hour) * np.sin(latitude) - np.tan(declination) * np.cos(latitude)
    azimuth = (np.arctan2(np.sin(hour), south) + np.pi) % (2 * np.pi)
    distance_au = 1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly)
    return SunPosition(
        cos_zenith=cos_zenith, azimuth=azimuth, extraterrestrial_w_m2=SOLAR_CONSTANT_W_M2 / np.square(distance_au)
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Irradiance:
    """Global, direct normal and diffuse horizontal irradiance."""

    ghi_w_m2: Floats
    dni_w_m2: Floats
    dhi_w_m2: Floats


def clear_sky(sun: SunPosition) -> Irradiance:
    """Return the irradiance below a clear sky.

    Source: global, Haurwitz, Journal of Meteorology 2 (1945); direct, Meinel and Meinel, Applied Solar Energy (1976),
    with the air mass of Kasten and Young, Applied Optics 28 (1989); diffuse is what is left, at least a tenth.
    """
    up = np.maximum(sun.cos_zenith, 0.0)
    safe = np.maximum(up, 1e-3)
    ghi = np.where(up > 0, 1098.0 * up * np.exp(-0.057 / safe), 0.0)
    zenith_deg = np.degrees(np.arccos(np.clip(safe, -1, 1)))
    air_mass = 1.0 / (safe + 0.50572 * (96.07995 - zenith_deg) ** -1.6364)
    dni = np.where(up > 0, sun.extraterrestrial_w_m2 * 0.7 ** (air_mass**0.678), 0.0)
    dni = np.minimum(dni, 0.9 * ghi / safe)
    return Irradiance(ghi_w_m2=ghi, dni_w_m2=dni, dhi_w_m2=ghi - dni * up)


def split_global(ghi_w_m2: Floats, sun: SunPosition) -> Irradiance:
    """Return a measured or predicted global irradiance split into its direct and diffuse part.

    Source: Erbs, Klein, Duffie, Solar Energy 28 (1982).
    """
    up = np.maximum(sun.cos_zenith, 0.0)
    safe = np.maximum(up, 0.065)
    clearness = np.clip(ghi_w_m2 / (sun.extraterrestrial_w_m2 * safe), 0.0, 1.0)
    polynomial = 0.9511 - 0.1604 * clearness + 4.388 * clearness**2 - 16.638 * clearness**3 + 12.336 * clearness**4
    diffuse = np.where(clearness <= 0.22, 1 - 0.09 * clearness, np.where(clearness <= 0.8, polynomial, 0.165))
    dhi = diffuse * ghi_w_m2
    dni = np.where(up > 0.05, (ghi_w_m2 - dhi) / safe, 0.0)
    return Irradiance(ghi_w_m2=ghi_w_m2, dni_w_m2=np.maximum(dni, 0.0), dhi_w_m2=dhi)


def on_plane(sky: Irradiance, sun: SunPosition, *, tilt_deg: float, azimuth_deg: float, albedo: float = 0.2) -> Floats:
    """Return the irradiance on a tilted plane.

    Source: Hay and Davies, First Canadian Solar Radiation Data Workshop (1980), with an isotropic ground.
    """
    tilt, facing = np.radians(tilt_deg), np.radians(azimuth_deg)
    up = np.maximum(sun.cos_zenith, 0.0)
    sin_zenith = np.sqrt(np.maximum(0.0, 1 - np.square(sun.cos_zenith)))
    incidence = sun.cos_zenith * np.cos(tilt) + sin_zenith * np.sin(tilt) * np.cos(sun.azimuth - facing)
    incidence = np.where(up > 0, np.maximum(incidence, 0.0), 0.0)
    anisotropy = np.clip(sky.dni_w_m2 / sun.extraterrestrial_w_m2, 0.0, 1.0)
    beam_ratio = incidence / np.maximum(up, 0.05)
    diffuse = sky.dhi_w_m2 * (anisotropy * beam_ratio + (1 - anisotropy) * (1 + np.cos(tilt)) / 2)
    ground = sky.ghi_w_m2 * albedo * (1 - np.cos(tilt)) / 2
    total: Floats = sky.dni_w_m2 * incidence + diffuse + ground
    return np.maximum(total, 0.0)
