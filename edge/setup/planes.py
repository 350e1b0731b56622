"""How the panels of a generator look, as people write it: ``30 S``, ``6 kW 30 SE; 4 kW 15 270``. Pure."""

import re
from typing import Any

from edge.setup.amounts import amount

COMPASS = {"N": 0, "NE": 45, "E": 90, "SE": 135, "S": 180, "SW": 225, "W": 270, "NW": 315}
_PLANE = re.compile(r"(?:(?P<peak>\S+(?:\s*k?Wp?)?)\s+)?(?P<tilt>\d{1,2})°?\s+(?P<faces>[A-Za-z]{1,2}|\d{1,3}°?)")
_TILT_DEG_MAX = 90
_CIRCLE_DEG = 360


def planes(text: str, *, peak_w: int) -> list[dict[str, Any]] | None:
    """Return the planes of a text, ``None`` where it tells none or their powers are not the generator's together.

    Args:
        text: Planes apart by semicolons: rated power (of a single one it may be left out), tilt in degrees from
            horizontal, and where it looks, as a compass point or in degrees clockwise from north.
        peak_w: Rated power of the generator in W.
    """
    parts = [part.strip() for part in text.split(";") if part.strip()]
    found = [_plane(part, whole_w=peak_w if len(parts) == 1 else None) for part in parts]
    told = [plane for plane in found if plane is not None]
    complete = bool(told) and len(told) == len(found)
    return told if complete and sum(plane["peak_w"] for plane in told) == peak_w else None


def _plane(text: str, *, whole_w: int | None) -> dict[str, Any] | None:
    match = _PLANE.fullmatch(text)
    if match is None:
        return None
    faces = match["faces"].removesuffix("°").upper()
    azimuth_deg = int(faces) if faces.isdecimal() else COMPASS.get(faces)
    peak_w = whole_w if match["peak"] is None else amount(match["peak"], unit="W")
    tilt_deg = int(match["tilt"])
    if not peak_w or azimuth_deg is None or azimuth_deg >= _CIRCLE_DEG or tilt_deg > _TILT_DEG_MAX:
        return None
    return {"tilt_deg": tilt_deg, "azimuth_deg": azimuth_deg, "peak_w": peak_w}
