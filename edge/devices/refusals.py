"""Writes that a device refuses, or takes and does not keep: tried three times, then seldom, and said with the cause.

A refusal belongs to a register, not to a lever: a battery that may not charge from the grid can still discharge.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge.modbus.pdu import exception_name

TRIES = 3
BACK_OFF_S_START = 10.0
BACK_OFF_S_MAX = 600.0  # An installer who has switched control on waits no longer than this.


@dataclass(kw_only=True)
class _Refusal:
    said: str
    tries: int = 0
    until_s: float = float("-inf")
    held: float | None = None


@dataclass(kw_only=True)
class Refusals:
    """What one device did not take.

    Args:
        causes: The usual cause by point, by exception code, or under ``any``; from the profile.
    """

    causes: Mapping[str, str]
    _open: dict[str, _Refusal] = field(default_factory=dict)

    def refused(self, name: str, *, registers: str, exception_code: int, now_s: float) -> str:
        """Take note of an exception to a write; return what there is to say of it."""
        cause = self.causes.get(name) or self.causes.get(str(exception_code)) or self.causes.get("any")
        said = f"{name} ({registers}) answers exception {exception_code}, {exception_name(exception_code)}"
        return self._again(name, said if cause is None else f"{said}; {cause}", now_s=now_s)

    def said_no(self, name: str, said: str, *, now_s: float) -> str:
        """Take note of a device that answered in words; return what there is to say of it."""
        return self._again(name, said, now_s=now_s)

    def not_kept(self, name: str, *, held: float | None, wanted: float, now_s: float) -> None:
        """Take note of a write that was confirmed and left the register where it was."""
        known = self._open.get(name)
        if known is not None and known.held != held:
            known.tries = 0  # It moves, only late: that is no refusal.
        self._again(name, f"{name} was written {wanted:g} and stays {held}", now_s=now_s)
        self._open[name].held = held

    def taken(self, names: Iterable[str]) -> None:
        """Forget what the device took at last."""
        for name in names:
            self._open.pop(name, None)

    def blocking(self, names: Iterable[str], *, now_s: float) -> str | None:
        """Return why none of these points is to be written now, None where all may be."""
        for name in names:
            refusal = self._open.get(name)
            if refusal is not None and refusal.until_s > now_s:
                return f"{refusal.said}; tried {refusal.tries} times, again in {refusal.until_s - now_s:.0f} s"
        return None

    def _again(self, name: str, said: str, *, now_s: float) -> str:
        refusal = self._open.setdefault(name, _Refusal(said=said))
        refusal.said = said
        refusal.tries += 1
        if refusal.tries >= TRIES:
            back_off_s = min(BACK_OFF_S_START * 2 ** min(refusal.tries - TRIES, 10), BACK_OFF_S_MAX)
            refusal.until_s = now_s + back_off_s
        return said
