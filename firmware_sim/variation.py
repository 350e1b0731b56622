"""Small fast variation on top of measured quarter hours: seeded, smooth, and the same in every run."""

import random
from functools import lru_cache

_KNOT_S = 20


def variation(*, seed: int, name: str, at_s: float) -> float:
    """Return a number from -1 to 1 that runs straight between random knots every 20 s."""
    position = at_s / _KNOT_S
    index = int(position // 1)
    left, right = _knot(seed, name, index), _knot(seed, name, index + 1)
    return left + (right - left) * (position - index)


@lru_cache(maxsize=4096)
def _knot(seed: int, name: str, index: int) -> float:
    return random.Random(f"{seed}/{name}/{index}").uniform(-1.0, 1.0)
