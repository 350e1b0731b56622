"""What the stand-in knows of its fleet: certificates, things, shadows, jobs; one SQLite file, readable by several.

The responder and an operator's commands open the same file; each change is one transaction, and ``changes`` tells one
that another has written.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cloud.errors import StoreError
from cloud.stores.private_files import private_database, private_folder
from contracts.reasons import reason_of
from contracts.units import epoch_ms

BUSY_TIMEOUT_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""


class CertificateState(StrEnum):
    """What a certificate is good for."""

    CLAIM = "claim"
    PENDING = "pending"
    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of the fleet. ``token`` registers it until ``token_until_ms`` (epoch milliseconds)."""

    id: str
    pem: str
    serial_number: str
    state: CertificateState
    thing: str | None = None
    token: str | None = None
    token_until_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A gateway of the fleet, by the name under which it connects."""

    name: str
    zone: str
    serial: str
    registered_ms: int


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """One named shadow of one thing; ``version`` rises with every change, 0 where there is none."""

    thing: str
    name: str
    version: int = 0
    desired: dict[str, object] = field(default_factory=dict)
    reported: dict[str, object] = field(default_factory=dict)


class JobState(StrEnum):
    """How far one thing has come with one job. Source: AWS IoT Core developer guide, job execution states."""

    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    REMOVED = "REMOVED"


OPEN_STATES: Final = (JobState.IN_PROGRESS, JobState.QUEUED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of one thing; ``version`` rises with every change."""

    id: str
    thing: str
    document: dict[str, object]
    state: JobState = JobState.QUEUED
    version: int = 1
    details: dict[str, str] = field(default_factory=dict)
    queued_ms: int = 0
    started_ms: int | None = None
    updated_ms: int = 0


class Book:
    """The file; used by one thread of each process that opens it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> "Book":
        """Open the file, creating it where it is missing.

        Raises:
            StoreError: It cannot be opened.
        """
        try:
            private_folder(path.parent)
            private_database(path)
            connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"fleet file {path} cannot be opened: {reason_of(error)}") from error
        return cls(connection)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def changes(self) -> int:
        """Return a number that differs from the last one when somebody else has written since."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Make the block's reads and writes one transaction.

        Raises:
            StoreError: It could not be written; nothing was.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"fleet file cannot be written: {error}; nothing written") from error
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # What failed already is told, not what it left undone.
                    self._connection.execute("ROLLBACK")

    def put(self, entry: Certificate | Thing | Shadow | Job) -> None:
        """Keep an entry in place of what was there."""
        kind, name = _place(entry)
        body = json.dumps(vars(entry))
        self._connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", [kind, name, body])

    def certificate(self, certificate_id: str) -> Certificate | None:
        """Return a certificate by its id."""
        body = self._body("certificate", certificate_id)
        return _certificate(body) if body else None

    def certificates(self) -> list[Certificate]:
        """Return all certificates."""
        return [_certificate(body) for body in self._bodies("certificate")]

    def certificate_of_token(self, token: str, *, now: datetime) -> Certificate | None:
        """Return the certificate that a token still registers."""
        found = (one for one in self.certificates() if one.token == token and one.token_until_ms > epoch_ms(now))
        return next(found, None)

    def thing(self, name: str) -> Thing | None:
        """Return a thing by its name."""
        body = self._body("thing", name)
        return Thing(**body) if body else None

    def things(self) -> list[Thing]:
        """Return all things, by name."""
        return [Thing(**body) for body in self._bodies("thing")]

    def forget_thing(self, name: str) -> None:
        """Remove a thing with its shadows and jobs."""
        self._connection.execute("DELETE FROM entries WHERE kind='thing' AND id=?", [name])
        self._connection.execute("DELETE FROM entries WHERE kind IN ('shadow', 'job') AND id LIKE ?", [f"{name}/%"])

    def shadow(self, thing: str, name: str) -> Shadow:
        """Return a shadow, an empty one of version 0 where there is none."""
        body = self._body("shadow", f"{thing}/{name}")
        return Shadow(**body) if body else Shadow(thing=thing, name=name)

    def job(self, thing: str, job_id: str) -> Job | None:
        """Return one thing's job."""
        body = self._body("job", f"{thing}/{job_id}")
        return _job(body) if body else None

    def jobs(self, thing: str | None = None) -> list[Job]:
        """Return the jobs of a thing (of all without one), oldest first."""
        found = [_job(body) for body in self._bodies("job")]
        return sorted(
            (job for job in found if thing is None or job.thing == thing), key=lambda job: (job.queued_ms, job.id)
        )

    def next_job(self, thing: str) -> Job | None:
        """Return what a thing is to do next: first what it has begun."""
        jobs = [job for job in self.jobs(thing) if job.state in OPEN_STATES]
        return min(jobs, key=lambda job: OPEN_STATES.index(job.state), default=None)

    def _body(self, kind: str, name: str) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT body FROM entries WHERE kind=? AND id=?", [kind, name]).fetchone()
        return dict(json.loads(row[0])) if row else None

    def _bodies(self, kind: str) -> list[dict[str, Any]]:
        rows = self._connection.execute("SELECT body FROM entries WHERE kind=? ORDER BY id", [kind]).fetchall()
        return [dict(json.loads(row[0])) for row in rows]


def revoked(certificate: Certificate) -> Certificate:
    """Return a certificate as revoked: it registers nothing and belongs to nobody any more."""
    return replace(certificate, state=CertificateState.REVOKED, token=None, token_until_ms=0)


def _place(entry: Certificate | Thing | Shadow | Job) -> tuple[str, str]:
    match entry:
        case Certificate():
            return "certificate", entry.id
        case Thing():
            return "thing", entry.name
        case Shadow():
            return "shadow", f"{entry.thing}/{entry.name}"
        case Job():
            return "job", f"{entry.thing}/{entry.id}"


def _certificate(body: dict[str, Any]) -> Certificate:
    return Certificate(**{**body, "state": CertificateState(body["state"])})


def _job(body: dict[str, Any]) -> Job:
    return Job(**{**body, "state": JobState(body["state"])})
