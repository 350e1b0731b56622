"""What the broker has taken and the cloud has not said that it stored; pure.

A broker that is killed forgets what it has acknowledged and nobody has fetched. Where the cloud sends receipts, a
record is therefore kept until its receipt; where none was ever heard (AWS IoT Core, a cloud of an earlier version), the
broker's word is taken. Within a connection and a channel receipts come in the order of sending, so a record that a
later one overtakes is lost and sent again. In silence one record of each channel is sent again, ever more seldom: its
receipt tells that the others are lost, or late. What comes twice the cloud counts once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contracts.receipt import StoredRange
from contracts.topics import Up

# Records without a receipt that may be under way; more wait in the outbox, so that little piles up in a broker whose
# cloud is away.
AWAITED_MAX: Final = 500
PROBE_S_MIN: Final = 20.0  # Real seconds.
PROBE_S_MAX: Final = 600.0
# A record that others of its channel overtook so often is one that the cloud cannot store.
OVERTAKEN_MAX: Final = 5
# Site seconds without any receipt after which the cloud is taken for one that sends none, as after a way back to an
# earlier version.
SILENCE_S_MAX: Final = 86_400.0

Number = tuple[Up, int, int]


@dataclass(kw_only=True)
class _Sent:
    record_id: int
    order: int
    taken_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Ids of records that the cloud has, of those that it cannot store, and whether any other is to be sent again."""

    stored: tuple[int, ...] = ()
    unstorable: tuple[int, ...] = ()
    overtaken: bool = False


class Receipts:
    """The records of one connection that wait for a receipt, and what was learned of the cloud before."""

    def __init__(self, *, expected: bool) -> None:
        self.expected = expected
        self._sent: dict[Number, _Sent] = {}
        self._ids: set[int] = set()
        self._order = 0
        self._overtaken: dict[int, int] = {}
        self._probe_s = PROBE_S_MIN
        self._silent_since_s: float | None = None

    def __contains__(self, record_id: int) -> bool:
        return record_id in self._ids

    @property
    def full(self) -> bool:
        """Return whether nothing more may be sent before a receipt comes."""
        return len(self._sent) >= AWAITED_MAX

    def begin_connection(self) -> None:
        """Forget what was sent: all that the outbox still has is sent again."""
        self._sent.clear()
        self._ids.clear()
        self._probe_s = PROBE_S_MIN

    def sent(self, number: Number, record_id: int) -> None:
        """Note a record on its way; nothing is noted where no receipts are expected."""
        if self.expected:
            self._order += 1
            self._sent[number] = _Sent(record_id=record_id, order=self._order)
            self._ids.add(record_id)

    def taken(self, number: Number, *, now_s: float) -> bool:
        """Note that the broker has taken a record; return whether its receipt is still waited for."""
        waiting = self._sent.get(number)
        if waiting is None:
            return False
        waiting.taken_s = now_s
        return True

    def drop(self, number: Number) -> None:
        """Forget a record that the broker did not take."""
        self._forget(number)

    def hear(self, stored: tuple[StoredRange, ...]) -> Settled:
        """Take a receipt; what it overtakes is no longer waited for, so that it is sent again."""
        self.expected = True
        self._probe_s, self._silent_since_s = PROBE_S_MIN, None
        settled: list[int] = []
        newest: dict[tuple[Up, int], int] = {}
        for number, waiting in self._within(stored):
            newest[number[:2]] = max(newest.get(number[:2], 0), waiting.order)
            settled.append(waiting.record_id)
            self._overtaken.pop(waiting.record_id, None)
            self._forget(number)
        overtaken = self._overtaken_by(newest)
        unstorable = tuple(record_id for record_id in overtaken if self._too_often(record_id))
        return Settled(stored=tuple(settled), unstorable=unstorable, overtaken=bool(overtaken))

    def probe(self, *, now_s: float) -> bool:
        """Send again the oldest record of each channel that has waited too long; return whether there is one.

        Args:
            now_s: Real seconds, of the clock by which ``taken`` was told.
        """
        oldest: dict[tuple[Up, int], tuple[Number, _Sent]] = {}
        for number, waiting in self._sent.items():
            oldest.setdefault(number[:2], (number, waiting))
        due = [
            number
            for number, waiting in oldest.values()
            if waiting.taken_s is not None and now_s - waiting.taken_s >= self._probe_s
        ]
        for number in due:
            self._forget(number)
        if due:
            self._probe_s = min(PROBE_S_MAX, 2 * self._probe_s)
        return bool(due)

    def give_up(self, *, now_s: float) -> tuple[int, ...]:
        """Return the records to forget because no receipt came for so long: the broker's word counts from now on.

        Args:
            now_s: Site seconds.
        """
        if not self._sent:
            self._silent_since_s = None
            return ()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        if now_s - self._silent_since_s < SILENCE_S_MAX:
            return ()
        taken = tuple(waiting.record_id for waiting in self._sent.values() if waiting.taken_s is not None)
        self.expected, self._silent_since_s = False, None
        self._sent.clear()
        self._ids.clear()
        self._overtaken.clear()
        return taken

    def _within(self, stored: tuple[StoredRange, ...]) -> Iterator[tuple[Number, _Sent]]:
        for number, waiting in list(self._sent.items()):
            channel, epoch, seq = number
            if any(one.channel is channel and one.epoch == epoch and one.first <= seq <= one.last for one in stored):
                yield number, waiting

    def _overtaken_by(self, newest: dict[tuple[Up, int], int]) -> list[int]:
        """Stop waiting for what was sent before what is stored by now, and return it."""
        overtaken = [number for number, waiting in self._sent.items() if waiting.order < newest.get(number[:2], 0)]
        ids = [self._sent[number].record_id for number in overtaken]
        for number in overtaken:
            self._forget(number)
        return ids

    def _too_often(self, record_id: int) -> bool:
        times = self._overtaken[record_id] = self._overtaken.get(record_id, 0) + 1
        if times < OVERTAKEN_MAX:
            return False
        del self._overtaken[record_id]
        return True

    def _forget(self, number: Number) -> None:
        waiting = self._sent.pop(number, None)
        if waiting is not None:
            self._ids.discard(waiting.record_id)
