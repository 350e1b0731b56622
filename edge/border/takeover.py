"""Takes control's records into the site's outbox, each once, under the outbox's own numbers.

Control numbers its records by an epoch and a channel's number of its own, and gives no number twice; the newest taken
one of each is kept in the same commit as the records.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from contracts.control import CommandAck
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.wire import SiteMessage, WireError
from edge.border.messages import Waiting
from edge.outbox.outbox import Outbox

log = logging.getLogger(__name__)

_KEY = "control.taken"
# Control begins a new epoch when its store was damaged or its disk failed; records of the one before may follow.
_EPOCHS_KEPT = 8
_MODELS: dict[Up, type[CommandAck] | type[EventMessage]] = {Up.ACKS: CommandAck, Up.EVENTS: EventMessage}

Taken = dict[str, list[list[int]]]


class Takeover:
    """The site's side of records that control keeps until they are taken over."""

    def __init__(self, outbox: Outbox, *, heard: Callable[[SiteMessage], None] = lambda _: None) -> None:
        """Go on where an earlier process stopped.

        Args:
            outbox: The site's.
            heard: Told of each record that is taken over.
        """
        self._outbox = outbox
        self._heard = heard
        self._taken = _load(outbox.recall(_KEY))

    async def take(self, records: Iterable[Waiting]) -> tuple[int, ...]:
        """Take records over, and once they are on the disk return the ids that control may forget: of before too."""
        ids = []
        with self._outbox.together():
            for record in records:
                ids.append(record.id)
                self._take(record)
            self._outbox.remember(_KEY, self._taken)
        await self._outbox.on_disk()
        return tuple(ids)

    def _take(self, record: Waiting) -> None:
        try:
            message = _message(record)
        except WireError as error:
            # It would come again for ever, and hold up those behind it.
            log.warning(
                "record of control not understood", extra={"reason": str(error), "record": record.payload[:500]}
            )
            return
        if not self._note(record.channel, message.epoch, message.seq):
            return
        self._outbox.append(
            record.channel,
            lambda epoch, seq: message.model_copy(update={"epoch": epoch, "seq": seq}),
            record_class=record.record_class,
            durable=False,
        )
        self._heard(message)

    def _note(self, channel: Up, epoch: int, seq: int) -> bool:
        """Note a number, and say whether it is new."""
        epochs = self._taken.setdefault(channel.value, [])
        for known in epochs:
            if known[0] == epoch:
                if seq <= known[1]:
                    return False
                known[1] = seq
                return True
        epochs.append([epoch, seq])
        del epochs[:-_EPOCHS_KEPT]
        return True


def _message(record: Waiting) -> SiteMessage:
    model = _MODELS.get(record.channel)
    if model is None:
        raise WireError(f"control says nothing on {record.channel}")
    return model.decode(record.payload.encode())


def _load(kept: Any) -> Taken:
    if not isinstance(kept, dict):
        return {}
    return {str(channel): [[int(epoch), int(seq)] for epoch, seq in epochs] for channel, epochs in kept.items()}
