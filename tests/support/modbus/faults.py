"""Wire faults for the small Modbus device, drawn from a seed."""

import random
from collections import Counter

from tests.support.modbus.server import Device, Request, Sending, honest

KINDS = (
    "late",
    "drop",
    "duplicate",
    "wrong_unit",
    "wrong_function",
    "wrong_length",
    "wrong_transaction",
    "truncate",
    "garbage",
    "exception",
    "corrupt",
)


class Storm:
    """Faults a share of the answers; counts what it did."""

    def __init__(self, *, seed: int, share: float, late_s: tuple[float, float], kinds: tuple[str, ...] = KINDS) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._late_s = late_s
        self._kinds = kinds
        self.counts: Counter[str] = Counter()

    def __call__(self, device: Device, request: Request, payload: bytes | None) -> Sending:
        """Return what goes out for a request."""
        if payload is None or self._random.random() >= self._share:
            return honest(device, request, payload)
        kind = self._random.choice(self._kinds)
        self.counts[kind] += 1
        return self._spoil(kind, device, request, payload)

    def _spoil(self, kind: str, device: Device, request: Request, payload: bytes) -> Sending:
        rng = self._random
        good = device.frame(request, payload)
        if kind == "late":
            return [(rng.uniform(*self._late_s), good)]
        if kind == "drop":
            return []
        if kind == "duplicate":
            return [(0.0, good), (rng.choice((0.0, 0.002)), good)]
        if kind == "wrong_unit":
            return [(0.0, device.frame(request, payload, unit=(request.unit % 247) + 1))]
        if kind == "wrong_function":
            return [(0.0, device.frame(request, bytes((payload[0] ^ 7,)) + payload[1:]))]
        if kind == "wrong_length":
            shorter = payload[:1] + bytes((payload[1] - 2,)) + payload[2:-2]
            return [(0.0, device.frame(request, shorter))]
        if kind == "wrong_transaction":
            return [(0.0, device.frame(request, payload, transaction=(request.transaction + 7) & 0xFFFF))]
        if kind == "truncate":
            return [(0.0, good[: rng.randrange(1, len(good))])]
        if kind == "garbage":
            return [(0.0, rng.randbytes(rng.randrange(1, 40)))]
        if kind == "exception":
            return [(0.0, device.frame(request, bytes((payload[0] | 0x80, rng.choice((1, 2, 3, 4, 10, 11))))))]
        spoiled = bytearray(good)
        if device.is_rtu:
            spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
        else:  # Bytes do not flip inside a TCP stream; a header that is wrong does occur.
            spoiled[rng.randrange(7)] ^= 1 << rng.randrange(8)
        return [(0.0, bytes(spoiled))]
