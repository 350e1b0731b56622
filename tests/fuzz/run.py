"""Feeds a door: so many inputs from a seed, and whatever once broke it."""

import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.door import Door, Take
from tests.fuzz.mutate import mutated

CORPUS = Path(__file__).with_name("corpus")
NOISE_SHARE, NOISE_BYTES_MAX = 0.1, 600


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An input that a door did not bear, made as short as it still breaks the door."""

    door: str
    raw: bytes
    raised: str


def corpus(door: Door) -> list[bytes]:
    """Return the inputs that are kept of a door: each once broke it."""
    return [file.read_bytes() for file in sorted((CORPUS / door.name).glob("*"))]


def inputs(door: Door, seed: str, count: int) -> Iterator[bytes]:
    """Yield so many inputs: noise, and changed samples; the same for the same seed."""
    generator = random.Random(f"{door.name}/{seed}")
    for _ in range(count):
        if generator.random() < NOISE_SHARE:
            yield generator.randbytes(generator.randrange(NOISE_BYTES_MAX))
        else:
            yield mutated(generator.choice(door.samples), door.form, generator)


def first_broken(door: Door, take: Take, given: Iterator[bytes]) -> Broken | None:
    """Return the first input that a door does not bear, ``None`` where it bears all."""
    for raw in given:
        if (raised := _raised(take, raw)) is not None:
            kind = raised.splitlines()[-1].partition(":")[0]
            return Broken(door=door.name, raw=_shortened(take, raw, kind), raised=raised)
    return None


def _raised(take: Take, raw: bytes) -> str | None:
    try:
        take(raw)
    except Exception:  # Whatever a door raises is what is looked for.
        return traceback.format_exc(limit=-6)
    return None


def _shortened(take: Take, raw: bytes, kind: str) -> bytes:
    """Return the input without what it does not need to raise an error of the same kind."""
    size = len(raw) // 2
    while size:
        begin = 0
        while begin < len(raw):
            shorter = raw[:begin] + raw[begin + size :]
            again = _raised(take, shorter)
            if again is not None and again.splitlines()[-1].partition(":")[0] == kind:
                raw = shorter
            else:
                begin += size
        size //= 2
    return raw
