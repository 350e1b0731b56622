"""The bound of every field of every message, from the models themselves: ``python -m contracts.bounds_table``.

``docs/wire-bounds.md`` is this program's output; a test compares the two, and another refuses a field without a bound.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from contracts.control import Command, CommandAck
from contracts.forecast import ForecastBroadcast
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast, OrderMessage, TradesMessage
from contracts.metering import MeterReading
from contracts.receipt import Receipt
from contracts.telemetry import EventMessage, StatusMessage, TelemetryMessage
from contracts.wire import DEPTH_MAX, DIGITS_MAX, PAYLOAD_BYTES_MAX, Message

MESSAGES: Final[tuple[type[Message], ...]] = (
    TelemetryMessage,
    MeterReading,
    OrderMessage,
    CommandAck,
    EventMessage,
    StatusMessage,
    Command,
    TradesMessage,
    ForecastBroadcast,
    Receipt,
    MarketBroadcast,
    GridBroadcast,
)

_HEAD: Final = f"""# Bounds of the wire

Written by `python -m contracts.bounds_table`; do not edit. A message of at most {PAYLOAD_BYTES_MAX} bytes, nested at
most {DEPTH_MAX} levels, with no number of more than {DIGITS_MAX} digits, no NaN and no infinity is read; anything else
is refused before its fields are looked at. Every text is well-formed Unicode without control characters. Whole numbers
stay within 2^53 - 1 = 9007199254740991, which every JSON reader has exact; money beyond that is written as a decimal
text. `remark` texts are words for a person: they are shortened and made harmless instead of refused.

The reasons for the widths stand beside them in `contracts/units.py`.
"""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One place where a value can stand; ``bound`` is ``None`` where nothing bounds it."""

    path: str
    kind: str
    bound: str | None


def bounds(model: type[BaseModel]) -> Iterator[Bound]:
    """Yield every place of a model with its bound, in the order of its fields."""
    schema = model.model_json_schema(mode="validation")
    yield from _of(schema, schema.get("$defs", {}), "")


def _of(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Iterator[Bound]:
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        for choice in choices:
            # A bound beside the choice (the length of an optional text) holds for each of them.
            around: dict[str, Any] = {
                name: schema[name] for name in ("maxLength", "minLength", "maxItems") if name in schema
            }
            yield from _of({**around, **choice}, definitions, path)
        return
    if "enum" in schema or "const" in schema:
        words = schema.get("enum") or [schema["const"]]
        yield Bound(path=path, kind="word", bound=", ".join(str(word) for word in words))
        return
    kind = schema.get("type")
    if kind == "object":
        yield from _object(schema, definitions, path)
    elif kind == "array":
        yield Bound(path=path, kind="list", bound=_up_to(schema.get("maxItems")))
        yield from _of(schema.get("items", {}), definitions, f"{path}[]")
    elif kind in ("integer", "number"):
        yield Bound(path=path, kind=kind, bound=_range(schema))
    elif kind == "string":
        yield Bound(path=path, kind="text", bound=_up_to(schema.get("maxLength"), "characters"))
    elif kind not in ("boolean", "null"):
        yield Bound(path=path, kind=str(kind), bound=None)


def _object(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Iterator[Bound]:
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        yield Bound(path=path, kind="map", bound=_up_to(schema.get("maxProperties")))
        names = schema.get("propertyNames", {})
        yield Bound(path=f"{path}{{name}}", kind="text", bound=_up_to(names.get("maxLength"), "characters"))
        yield from _of(schema["additionalProperties"], definitions, f"{path}{{}}")
    elif "properties" not in schema and schema.get("title") is None:
        yield Bound(path=path, kind="map", bound=None)
    for name, field in schema.get("properties", {}).items():
        yield from _of(field, definitions, f"{path}.{name}" if path else name)


def _up_to(count: int | None, what: str = "entries") -> str | None:
    return None if count is None else f"at most {count} {what}"


def _range(schema: dict[str, Any]) -> str | None:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None or high is None:
        return None
    above = "above " if "exclusiveMinimum" in schema else ""
    return f"{above}{low:.0f} to {high:.0f}"


def table() -> str:
    """Return the page of all bounds."""
    parts = [_HEAD]
    for model in MESSAGES:
        rows = dict.fromkeys(f"| `{one.path}` | {one.kind} | {one.bound} |" for one in bounds(model))
        parts.append(
            "\n".join([f"## {model.__name__}\n", "| field | kind | bound |", "| --- | --- | --- |", *rows, ""])
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(table())
