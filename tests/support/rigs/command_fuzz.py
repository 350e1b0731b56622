"""What an attacker, a bad network or a broken client may send to a site's command topic, from a seed."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.control import BatteryPower, Command, LimitExport, LimitImport
from tests.support.rigs.control_commands import signed

OVERSIZED_BYTES = 20_000


class Fuzz:
    """Messages that must have no effect.

    Args:
        genuine: A command that the site has taken; copies of it are replays.
        key: The key of its issuer, for messages that are genuine and come late, early or out of order.
    """

    def __init__(self, *, seed: int, genuine: Command, key: Ed25519PrivateKey, now: datetime) -> None:
        self._random = random.Random(seed)
        self._genuine = genuine
        self._key = key
        self._now = now
        self._stranger = Ed25519PrivateKey.generate()
        self._kinds = (
            self._noise, self._cut, self._nested, self._wrong_type, self._wrong_version, self._oversized,
            self._flipped, self._unsigned, self._stranger_signed, self._unknown_issuer, self._wrong_site,
            self._replayed, self._out_of_order, self._expired, self._early, self._conflicting,
        )  # fmt: skip

    def messages(self, count: int) -> Iterator[bytes]:
        """Yield so many messages, every kind among them."""
        for number in range(count):
            kind = self._kinds[number] if number < len(self._kinds) else self._random.choice(self._kinds)
            yield kind()

    def _order(self, **changes: object) -> Command:
        power_w = self._random.choice((-4_000, 4_000))
        action = self._random.choice((LimitImport(max_w=0), LimitExport(max_w=0), BatteryPower(power_w=power_w)))
        fields = {
            "command_id": f"fuzz-{self._random.getrandbits(48):x}",
            "seq": self._genuine.seq + self._random.randrange(1, 1_000_000),
            "action": action,
            "issued_at": self._now,
            "expires_at": self._now + timedelta(hours=1),
            "signature": "",
            **changes,
        }
        return self._genuine.model_copy(update=fields)

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(0, 400))

    def _cut(self) -> bytes:
        whole = self._genuine.encode()
        return whole[: self._random.randrange(len(whole))]

    def _nested(self) -> bytes:
        return b'{"v":1,"action":' + b"[" * self._random.randrange(1, 7_000)

    def _wrong_type(self) -> bytes:
        content = json.loads(self._genuine.encode())
        content[self._random.choice(list(content))] = self._random.choice(
            [None, [], {}, True, -1, 1e308, "\u0000", "x" * 200, {"kind": "switch"}, 2**70]
        )
        content["v"] = 1
        content["signature"] = "AA=="
        return json.dumps(content).encode()

    def _wrong_version(self) -> bytes:
        return json.dumps({**json.loads(self._genuine.encode()), "v": self._random.choice([0, 2, "1", None])}).encode()

    def _oversized(self) -> bytes:
        content = {**json.loads(self._genuine.encode()), "comment": "x" * OVERSIZED_BYTES}
        return json.dumps(content).encode()

    def _flipped(self) -> bytes:
        content = json.loads(signed(self._order(), self._key).encode())
        content["seq"] += 1
        return json.dumps(content).encode()

    def _unsigned(self) -> bytes:
        return self._order().encode()

    def _stranger_signed(self) -> bytes:
        return signed(self._order(), self._stranger).encode()

    def _unknown_issuer(self) -> bytes:
        return signed(self._order(issuer="nobody"), self._stranger).encode()

    def _wrong_site(self) -> bytes:
        return signed(self._order(site="elsewhere"), self._key).encode()

    def _replayed(self) -> bytes:
        return self._genuine.encode()

    def _out_of_order(self) -> bytes:
        return signed(self._order(seq=self._random.randint(1, self._genuine.seq)), self._key).encode()

    def _expired(self) -> bytes:
        ago = timedelta(seconds=self._random.randrange(60, 10_000))
        return signed(self._order(issued_at=self._now - 2 * ago, expires_at=self._now - ago), self._key).encode()

    def _early(self) -> bytes:
        begins = self._now + timedelta(seconds=self._random.randrange(3_600, 10_000))
        return signed(self._order(issued_at=begins, expires_at=begins + timedelta(hours=1)), self._key).encode()

    def _conflicting(self) -> bytes:
        return signed(self._order(command_id=self._genuine.command_id), self._key).encode()
