"""How much may be taken of something: so many at once, and so many more each second."""


class Allowance:
    """A bucket that begins full and fills up again; instants are monotonic seconds."""

    def __init__(self, *, burst: int, per_s: float) -> None:
        """Begin with ``burst`` to take, and ``per_s`` more each second up to it."""
        self._burst = float(burst)
        self._per_s = per_s
        self._left = self._burst
        self._seen_s: float | None = None

    def has(self, now_s: float) -> bool:
        """Say whether one more may be taken."""
        if self._seen_s is not None:
            self._left = min(self._burst, self._left + max(0.0, now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        return self._left >= 1.0

    def take(self, now_s: float) -> bool:
        """Take one where there is one, and say whether there was."""
        if not self.has(now_s):
            return False
        self._left -= 1.0
        return True
