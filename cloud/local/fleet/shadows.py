"""Named shadows as the service keeps them. Source: AWS IoT Core developer guide, Device Shadow MQTT topics, documents.

Every answer carries the request's ``clientToken`` and the instant in seconds, which the SDK's clients rely on.
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from cloud.errors import FleetDenied
from cloud.local.fleet.book import Book, Shadow
from contracts.units import epoch_ms

DOCUMENT_BYTES_MAX: Final = 8 * 1024

Answers = list[tuple[str, dict[str, object]]]


def prefix(thing: str, name: str) -> str:
    """Return what all topics of a shadow begin with."""
    return f"$aws/things/{thing}/shadow/name/{name}"


def answer_get(book: Book, *, thing: str, name: str, now: datetime) -> dict[str, object]:
    """Return the present document.

    Raises:
        FleetDenied: There is none.
    """
    shadow = book.shadow(thing, name)
    if not shadow.version:
        raise FleetDenied(f"No shadow exists with name: '{thing}~{name}'", code="404", status=404)
    return {"state": _state(shadow), "version": shadow.version, "timestamp": _seconds(now)}


def update(book: Book, *, thing: str, name: str, request: dict[str, object], now: datetime) -> tuple[Shadow, Answers]:
    """Change a shadow, and return it with all that is said of the change but to the asker's own token.

    Raises:
        FleetDenied: The request is no shadow document, too large, or made for another version.
    """
    state = request.get("state")
    if not isinstance(state, dict) or not set(state) <= {"desired", "reported"}:
        raise FleetDenied("Missing or unknown node: state", code="400")
    if not all(each is None or isinstance(each, dict) for each in state.values()):
        raise FleetDenied("desired and reported must be objects", code="400")
    with book.change():
        shadow = book.shadow(thing, name)
        wanted = request.get("version")
        if wanted is not None and wanted != shadow.version:
            raise FleetDenied("Version conflict", code="409", status=409)
        changed = replace(
            shadow,
            version=shadow.version + 1,
            desired=_merged(shadow.desired, state.get("desired", {})),
            reported=_merged(shadow.reported, state.get("reported", {})),
        )
        if len(json.dumps(_state(changed))) > DOCUMENT_BYTES_MAX:
            raise FleetDenied("The payload exceeds the maximum size allowed", code="413", status=413)
        book.put(changed)
    accepted = {"state": state, "version": changed.version, "timestamp": _seconds(now)}
    said: Answers = [(f"{prefix(thing, name)}/update/accepted", accepted)]
    return changed, said + told(shadow, changed, now=now)


def wished(shadow: Shadow, desired: dict[str, object]) -> Shadow:
    """Return a shadow of which more is desired."""
    return replace(shadow, version=shadow.version + 1, desired=_merged(shadow.desired, desired))


def told(before: Shadow, after: Shadow, *, now: datetime) -> Answers:
    """Return what every subscriber is told of a change: both documents, and, of a new wish, what is not reported so."""
    documents = {"previous": _document(before), "current": _document(after), "timestamp": _seconds(now)}
    said: Answers = [(f"{prefix(after.thing, after.name)}/update/documents", documents)]
    different = difference(after.desired, after.reported)
    if different and after.desired != before.desired:
        content = {"state": different, "version": after.version, "timestamp": _seconds(now)}
        said.append((f"{prefix(after.thing, after.name)}/update/delta", content))
    return said


def difference(desired: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """Return the desired parts that are not reported so; lists are compared whole."""
    different = {}
    for key, value in desired.items():
        if isinstance(value, dict) and isinstance(reported.get(key), dict):
            if inner := difference(value, reported[key]):
                different[key] = inner
        elif reported.get(key) != value:
            different[key] = value
    return different


def _merged(before: dict[str, object], change: dict[str, object] | None) -> dict[str, object]:
    """Return a section after a change: ``null`` removes, a list replaces, an object is merged."""
    if change is None:
        return {}
    merged = dict(before)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = _merged(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _document(shadow: Shadow) -> dict[str, object]:
    parts = {"desired": shadow.desired, "reported": shadow.reported}
    return {"state": {name: part for name, part in parts.items() if part}, "version": shadow.version}


def _state(shadow: Shadow) -> dict[str, object]:
    different = difference(shadow.desired, shadow.reported)
    parts = {"desired": shadow.desired, "reported": shadow.reported, "delta": different}
    return {name: part for name, part in parts.items() if part}


def _seconds(now: datetime) -> int:
    return epoch_ms(now) // 1000
