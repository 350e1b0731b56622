"""What was sent with a key: the sequence numbers used up, and the commands, beside the key, over calls and crashes."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.control import AckStage, Command, CommandAck
from contracts.reasons import reason_of
from contracts.units import epoch_ms

# Commands that are remembered; the oldest go first.
SENT_MAX = 500

Entry = dict[str, Any]
_RUNNING = frozenset({AckStage.ACCEPTED, AckStage.APPLIED, AckStage.EFFECTIVE, AckStage.INEFFECTIVE})


class BookUnusable(ValueError):
    """The book cannot be read or written; nothing may be sent, for a number could be given twice."""


class Book:
    """The book of one key."""

    def __init__(self, key_path: Path) -> None:
        self._path = key_path.with_name(f"{key_path.name}.sent.json")

    def next_seq(self, *, issuer: str, site: str, at_least: int) -> int:
        """Use up the next sequence number of an issuer to a site; on the disk on return.

        Args:
            at_least: A number that is surely above all that were used before this book was begun.

        Raises:
            BookUnusable: It cannot be kept.
        """
        with self._open() as content:
            numbers = content["seq"]
            seq = max(int(numbers.get(f"{issuer}/{site}", 0)) + 1, at_least)
            numbers[f"{issuer}/{site}"] = seq
        return seq

    def sent(self, command: Command, *, zone: str) -> None:
        """Note a command that is about to be sent.

        Raises:
            BookUnusable: It cannot be kept.
        """
        with self._open() as content:
            content["sent"].append(
                {
                    "command_id": command.command_id,
                    "issuer": command.issuer,
                    "zone": zone,
                    "site": command.site,
                    "action": command.action.model_dump(mode="json"),
                    "issued_at_ms": epoch_ms(command.issued_at),
                    "expires_at_ms": epoch_ms(command.expires_at),
                    "stage": "sent",
                }
            )
            del content["sent"][:-SENT_MAX]

    def not_sent(self, command_id: str) -> None:
        """Note that a command did not leave this machine.

        Raises:
            BookUnusable: It cannot be kept.
        """
        with self._open() as content:
            for entry in content["sent"]:
                if entry["command_id"] == command_id:
                    entry["stage"] = "not_sent"

    def heard(self, ack: CommandAck) -> None:
        """Note an answer to a command of this book.

        Raises:
            BookUnusable: It cannot be kept.
        """
        with self._open() as content:
            taken = None
            for entry in reversed(content["sent"]):
                if entry["command_id"] == ack.command_id:
                    entry["stage"] = ack.stage.value
                    entry["reason"] = None if ack.reason is None else ack.reason.value
                    taken = entry if ack.stage is AckStage.ACCEPTED else None
                elif taken is not None and _place(entry) == _place(taken) and entry["stage"] in _RUNNING:
                    # The site says so too, after we may have stopped to listen.
                    entry["stage"] = AckStage.SUPERSEDED.value

    def entries(self) -> list[Entry]:
        """Return the commands that were sent, the oldest first.

        Raises:
            BookUnusable: It cannot be read.
        """
        return list(self._read()["sent"])

    def find(self, command_id: str) -> Entry | None:
        """Return one command that was sent, ``None`` where this book does not know it.

        Raises:
            BookUnusable: It cannot be read.
        """
        return next((entry for entry in self.entries() if entry["command_id"] == command_id), None)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"seq": {}, "sent": []}
        except (OSError, ValueError) as error:
            raise BookUnusable(f"{self._path} cannot be read ({reason_of(error)}); nothing was sent") from error
        if not isinstance(content, dict) or not {"seq", "sent"} <= content.keys():
            raise BookUnusable(f"{self._path} is no book of sent commands; nothing was sent")
        return content

    @contextlib.contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        """Change the book, alone: whoever else has the key waits."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            with lock.open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                content = self._read()
                yield content
                fresh = self._path.with_name(f"{self._path.name}.new")
                with fresh.open("w", encoding="utf-8") as file:
                    json.dump(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self._path)
        except OSError as error:
            raise BookUnusable(f"{self._path} cannot be written ({error.strerror}); nothing was sent") from error


def _place(entry: Entry) -> tuple[str, ...]:
    """Return what a site holds one order for at a time: an issuer's orders of one kind, and of one load."""
    action = entry["action"]
    return str(entry["issuer"]), str(entry["site"]), str(action["kind"]), str(action.get("device"))


def left_s(entry: Entry, now: datetime) -> float:
    """Return how long a sent command may still run, zero once it has expired."""
    return max(0.0, (int(entry["expires_at_ms"]) - epoch_ms(now)) / 1000)
