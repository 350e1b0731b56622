"""Meter readings out of files as people have them, for the commands that settle and share."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cloud.market.tools.inputs import BadInput, instant_of, mapping, rows, text
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S
from sitewatt.history_file import quarters_wh, reading_of


def with_meters(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return a settlement's file with the meters that name a file and an instant (``at``) read, and what was read.

    Raises:
        BadInput: A file cannot be read, or has no reading at the instant.
        OSError: It cannot be opened.
    """
    words: list[str] = []
    given = rows(data, "meters")
    instants = {
        instant_of(row, "at", f"meters[{index}]").timestamp() // DELIVERY_INTERVAL_S
        for index, row in enumerate(given)
        if "file" in row
    }
    if len(instants) > 1:
        raise BadInput("the meters name instants (at) of more than one interval; a file settles one")
    meters = [_metered(row, f"meters[{index}]", words) if "file" in row else row for index, row in enumerate(given)]
    if not words:
        return data, words
    start = datetime.fromtimestamp(instants.pop() * DELIVERY_INTERVAL_S, UTC).isoformat()
    return {"start": start, **data, "meters": meters}, words


def with_members(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return a community's file with the sites that name a file read, over the time that all files have.

    Raises:
        BadInput: A file cannot be read, or they have no time in common.
        OSError: One cannot be opened.
    """
    words: list[str] = []
    given = mapping(data.get("sites", {}), "sites")
    files = {str(name): row for name, row in given.items() if isinstance(row, Mapping) and "file" in row}
    if not files:
        return data, words
    read = {name: _series(row, f"site {name}", words) for name, row in files.items()}
    first = max(start for start, _ in read.values())
    end = min(start + len(values) * DELIVERY_INTERVAL for start, values in read.values())
    if end <= first:
        raise BadInput(f"the files of {', '.join(read)} have no time in common")
    count = (end - first) // DELIVERY_INTERVAL
    cut = {
        name: values[(skip := (first - start) // DELIVERY_INTERVAL) : skip + count]
        for name, (start, values) in read.items()
    }
    members = {name: _two_ways(values) for name, values in cut.items()}
    return {"start": first.isoformat(), **data, "sites": {**given, **members}}, words


def _metered(row: Mapping[str, Any], where: str, words: list[str]) -> Mapping[str, Any]:
    """Return a meter's reading in the interval of an instant."""
    at = instant_of(row, "at", where)
    kept = {name: row[name] for name in ("site", "version") if name in row}
    source = {name: value for name, value in row.items() if name not in ("site", "version", "at")}
    start, values = _series(source, where, words)
    place = (at - start) // DELIVERY_INTERVAL
    if not 0 <= place < len(values) or not np.isfinite(values[place]):
        end = start + len(values) * DELIVERY_INTERVAL
        raise BadInput(f"{row['file']} has no reading at {at.isoformat()}; it runs from {start} to {end}")
    one = _two_ways([values[place]])
    return {**kept, "import_wh": one["import_wh"][0], "export_wh": one["export_wh"][0]}


def _series(source: Mapping[str, Any], where: str, words: list[str]) -> tuple[datetime, list[float]]:
    """Return when a file's first whole quarter begins, and its energies in Wh, positive for import."""
    name = text(source, "file", where)
    reading = reading_of(source, where)
    words.append(f"{name}: {reading.understood}")
    start, values = reading.series.start.astimezone(UTC), quarters_wh(reading, name)
    if int(start.timestamp()) % DELIVERY_INTERVAL_S:
        raise BadInput(f"{name} begins at {start.isoformat()}, on no quarter of an hour")
    return start, values


def _two_ways(values: list[float]) -> dict[str, list[int | None]]:
    """Return net energies as what was taken and what was given; a missing one is neither."""
    imports = [round(max(value, 0)) if np.isfinite(value) else None for value in values]
    exports = [round(max(-value, 0)) if np.isfinite(value) else None for value in values]
    return {"import_wh": imports, "export_wh": exports}
