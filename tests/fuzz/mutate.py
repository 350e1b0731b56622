"""Changes what is valid a little: byte by byte, or within its structure."""

import json
import random
from typing import Any

import yaml

from tests.fuzz.door import Form

BYTES_MAX = 200_000
_ODD_BYTES = (b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b'"', b"}", b"[" * 40, b"9" * 60, b"-", b"e999", b"\\u0000")
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), 2**31, 2**53, 2**63, 10**38,
    -(2**63), "", "0", "x", "\0", "\ud800", "\u202e", "../../etc/passwd", "x" * 3000, [], {}, [[[[]]]], {"": None},
    ["x"] * 300,
)  # fmt: skip


def mutated(sample: bytes, form: Form, generator: random.Random) -> bytes:
    """Return a valid text changed in one to four places; half of the time within its structure."""
    changed = sample
    if form is not Form.BINARY and generator.random() < 0.6:
        changed = _within(sample, form, generator)
    if changed is sample or generator.random() < 0.2:
        for _ in range(generator.randint(1, 4)):
            changed = _bytes_changed(changed, generator)
    return changed[:BYTES_MAX]


def _within(sample: bytes, form: Form, generator: random.Random) -> bytes:
    """Change one value, key or record; what is no such structure stays as it is."""
    try:
        match form:
            case Form.JSON:
                return _json(_changed(json.loads(sample), generator))
            case Form.LINES:
                lines = sample.splitlines()
                place = generator.randrange(len(lines))
                lines[place] = _json(_changed(json.loads(lines[place]), generator))
                return b"\n".join(lines)
            case Form.YAML:
                value = _changed(yaml.safe_load(sample), generator)
                return yaml.safe_dump(value, sort_keys=False).encode(errors="surrogatepass")
            case _:
                return _cells_changed(sample, generator)
    except (ValueError, IndexError, yaml.YAMLError):
        return sample


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _changed(value: Any, generator: random.Random) -> Any:
    """Return a copy with one place changed, at any depth."""
    if isinstance(value, dict) and value and generator.random() < 0.85:
        name = generator.choice(list(value))
        match generator.randrange(8):
            case 0:
                return {key: inner for key, inner in value.items() if key != name}
            case 1:
                return {**value, generator.choice(("", "x", "v", "id", str(name) + " ")): value[name]}
            case _:
                return {**value, name: _changed(value[name], generator)}
    if isinstance(value, list) and value and generator.random() < 0.85:
        place = generator.randrange(len(value))
        match generator.randrange(8):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value + [value[place]] * generator.choice((1, 2, 50))
            case 2:
                return generator.sample(value, len(value))
            case _:
                return [*value[:place], _changed(value[place], generator), *value[place + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and generator.random() < 0.5:
        return generator.choice((-value, value + 1, value * 1000, value // 7 if value else 7, float(value)))
    return generator.choice(_ODD_VALUES)


def _cells_changed(sample: bytes, generator: random.Random) -> bytes:
    """Change one line of a table: a cell of it, its place, or whether it is there."""
    lines = sample.split(b"\n")
    place = generator.randrange(len(lines))
    separator = next((mark for mark in (b";", b"\t", b",") if mark in lines[place]), b",")
    cells = lines[place].split(separator)
    match generator.randrange(6):
        case 0:
            del lines[place]
        case 1:
            lines.insert(generator.randrange(len(lines)), lines[place])
        case 2:
            cells.insert(generator.randrange(len(cells) + 1), b"")
            lines[place] = separator.join(cells)
        case _:
            odd = str(generator.choice(_ODD_VALUES)).encode(errors="surrogatepass")
            cells[generator.randrange(len(cells))] = odd
            lines[place] = separator.join(cells)
    return b"\n".join(lines)


def _bytes_changed(sample: bytes, generator: random.Random) -> bytes:
    begin = generator.randrange(len(sample) + 1)
    end = min(len(sample), begin + generator.choice((0, 1, 1, 2, 8, 64)))
    match generator.randrange(5):
        case 0:
            return sample[:begin] + sample[end:]
        case 1:
            return sample[:begin] + generator.choice(_ODD_BYTES) + sample[begin:]
        case 2:
            return sample[:begin] + sample[begin:end] * 2 + sample[end:]
        case 3:
            return sample[:begin]
        case _:
            return sample[:begin] + generator.randbytes(end - begin) + sample[end:]
