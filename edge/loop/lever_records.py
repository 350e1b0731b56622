"""What became of the last write to each lever: what was applied, since when it is proven, and why one was refused."""

from dataclasses import dataclass

from edge.control.model import Capability, Confirmed
from edge.devices.apply import Applied

Lever = tuple[str, Capability]


@dataclass(kw_only=True)
class _Record:
    """One lever since the start. A failed write leaves when it was last proven, and nothing that is applied."""

    applied: Applied | None = None
    confirmed: Confirmed | None = None
    refused: str | None = None
    failing: bool = False


class LeverRecords:
    """The levers of all devices; one record each, begun with its first write."""

    def __init__(self) -> None:
        self._records: dict[Lever, _Record] = {}

    @property
    def applied(self) -> dict[Lever, Applied]:
        """Return what came of the last write that reached its device, proven or not."""
        return {lever: record.applied for lever, record in self._records.items() if record.applied is not None}

    @property
    def held(self) -> dict[Lever, float | None]:
        """Return what each device was last proven to hold, None where what was ours was taken away."""
        return {lever: applied.value_w for lever, applied in self.applied.items() if applied.ok}

    @property
    def confirmed(self) -> dict[Lever, Confirmed]:
        """Return when each lever was last proven to hold its setpoint."""
        return {lever: record.confirmed for lever, record in self._records.items() if record.confirmed is not None}

    @property
    def refused(self) -> dict[Lever, str]:
        """Return why levers cannot be written now: until a write is taken again, a silent device in between or not."""
        return {lever: record.refused for lever, record in self._records.items() if record.refused is not None}

    def took(self, lever: Lever, applied: Applied, *, decided_s: float, now_s: float) -> None:
        """Note a write that reached its device."""
        record = self._record(lever)
        record.applied, record.refused, record.failing = applied, None, False
        if applied.ok:
            record.confirmed = Confirmed(decided_s=decided_s, at_s=now_s)

    def failed(self, lever: Lever, *, refused: str | None) -> bool:
        """Note a write that did not: what the device holds is unknown, and ``refused`` says why where it said no.

        Returns:
            Whether it is the first in a row, which is said once.
        """
        record = self._record(lever)
        is_first, record.applied, record.failing = not record.failing, None, True
        if refused is not None:
            record.refused = refused
        return is_first

    def _record(self, lever: Lever) -> _Record:
        return self._records.setdefault(lever, _Record())
