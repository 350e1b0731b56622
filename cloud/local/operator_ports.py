"""A private cloud's files behind the operator's skills: records that were set aside, and the fleet.

Each question opens the files and closes them: the running cloud, other commands and other threads use them too.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from cloud.agents.ports import FleetPort, SetAsidePort
from cloud.errors import FleetDenied, SkillError, SkillMissing
from cloud.infra.fleet_operator import FleetOperator
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book, CertificateState
from cloud.local.fleet.operator import LocalOperator
from cloud.local.fleet.run import FleetFolder
from cloud.local.opening import STREAMS_FILE, ask_streams, servers_of
from cloud.local.streams import SetAside
from cloud.shell.heard import heard_of
from cloud.shell.not_here import NoFleet, NoSetAside
from cloud.stores.tables import Tables
from contracts.clock import SystemClock
from contracts.skills.fleet import GatewayAnswer, GatewayRow, JobAnswer, JobRow, SettingsRow
from contracts.skills.operations import RecordAnswer, SetAsideRow
from contracts.units import printable
from contracts.wire import PAYLOAD_BYTES_MAX, WireError, read_json

DETAILS_CHARACTERS_MAX: Final = 2_000
# Source: AWS IoT Core endpoints and quotas, maximum size of a device shadow's document.
WISH_BYTES_MAX: Final = 8_192


def set_aside_of(folder: Path) -> SetAsidePort:
    """Return the records that the cloud of a folder set aside."""
    there = servers_of(folder).streams is not None or (folder / STREAMS_FILE).is_file()
    return KeptSetAside(folder) if there else NoSetAside()


def fleet_of(folder: Path, tables: Tables) -> FleetPort:
    """Return the fleet of the cloud of a folder."""
    place = FleetFolder(folder=folder / "fleet")
    if not place.book_path.is_file():
        return NoFleet()

    def until(book: Book) -> dict[str, datetime]:
        ends: dict[str, datetime] = {}
        for one in book.certificates():
            if one.state is CertificateState.ACTIVE and one.thing is not None:
                end = x509.load_pem_x509_certificate(one.pem.encode()).not_valid_after_utc
                ends[one.thing] = max(end, ends.get(one.thing, end))
        return ends

    @contextlib.contextmanager
    def opened() -> Iterator[tuple[FleetOperator, Mapping[str, datetime]]]:
        with contextlib.closing(Book.open(place.book_path)) as book:
            authority = LocalAuthority(place.authority_folder)
            yield LocalOperator(book=book, authority=authority, clock=SystemClock()), until(book)

    return OperatorFleet(opened, tables)


class KeptSetAside:
    """The records in the streams of a folder's cloud."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Sequence[SetAsideRow]:
        """Return every record, the oldest first."""
        return [_row(one) for one in self._every()]

    def whole(self, record: str) -> RecordAnswer:
        """Return one record with its data."""
        one = _found(self._every(), record)
        return RecordAnswer(record=_row(one), data=_text(one.record.data))

    def replay(self, record: str, *, data: str | None) -> SetAsideRow:
        """Let a record be delivered again, with ``data`` in its place."""
        if data is not None:
            try:
                read_json(data)
            except WireError as error:
                raise SkillError(f"the mended record is no message: {error}; not delivered again") from error
        one = _found(self._every(), record)
        payload = one.record.data if data is None else data.encode()
        ask_streams(self._folder, lambda streams: streams.ask_replay(one, payload), read_only=False)
        return _row(one)

    def drop(self, record: str) -> SetAsideRow:
        """Forget a record."""
        one = _found(self._every(), record)
        ask_streams(self._folder, lambda streams: streams.drop(one), read_only=False)
        return _row(one)

    def _every(self) -> Sequence[SetAside]:
        return ask_streams(self._folder, lambda streams: streams.all_set_aside())


class OperatorFleet:
    """A fleet in an operator's hands.

    Args:
        opened: Gives the operator for one question, with the ends of certificates by gateway as far as they are known.
        tables: Where it stands what was heard of the gateways.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[tuple[FleetOperator, Mapping[str, datetime]]]],
        tables: Tables,
    ) -> None:
        self._opened = opened
        self._tables = tables

    def gateways(self) -> Sequence[GatewayRow]:
        """Return all gateways by name."""
        now = datetime.now(UTC)
        with self._asked() as (operator, until):
            rows = []
            for view in operator.gateways():
                heard = heard_of(self._tables, view.name, now=now)
                rows.append(
                    GatewayRow(
                        gateway=view.name,
                        zone=view.zone,
                        serial=view.serial,
                        online=heard.online,
                        heard_at=heard.heard_at,
                        software=heard.software,
                        alarms=heard.alarms,
                        alarms_at=heard.alarms_at,
                        event=heard.event,
                        event_at=heard.event_at,
                        certificate_until=until.get(view.name),
                    )
                )
        return sorted(rows, key=lambda row: row.gateway)

    def gateway(self, name: str) -> GatewayAnswer:
        """Return one gateway with its jobs and settings."""
        with self._asked() as (operator, _):
            view = operator.gateway(name)
            jobs = [operator.job(name, job.id) for job in view.jobs]
        return GatewayAnswer(
            gateway=view.name,
            certificates=view.certificates,
            jobs=tuple(JobRow(id=job.id, state=job.state, details=_json(job.details)) for job in jobs),
            settings=tuple(_settings(shadow, told) for shadow, told in sorted(view.shadows.items())),
        )

    def want(self, name: str, shadow: str, wish: Mapping[str, object]) -> int:
        """Wish settings and return the version of the wish."""
        size = len(json.dumps(wish).encode())
        if size > WISH_BYTES_MAX:
            raise SkillError(f"the wish has {size} bytes, above {WISH_BYTES_MAX}; nothing sent")
        with self._asked() as (operator, _):
            return operator.want(name, shadow, dict(wish))

    def update(self, name: str, document: Mapping[str, object]) -> JobAnswer:
        """Make a job of a signed update."""
        version = document.get("version")
        if document.get("operation") != "update" or not isinstance(version, str) or not document.get("signature"):
            raise SkillError("the document is no signed update, as `sitewatt fleet sign` prints it; no job made")
        words = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in version[:32])
        job = f"update-{words}-{uuid.uuid4().hex[:8]}"
        with self._asked() as (operator, _):
            operator.create_job(name, job_id=job, document=dict(document))
            view = operator.job(name, job)
        return JobAnswer(gateway=name, job=view.id, state=view.state)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[tuple[FleetOperator, Mapping[str, datetime]]]:
        """Open the operator's hands; what the fleet refuses is a refusal of the skill."""
        try:
            with self._opened() as hands:
                yield hands
        except FleetDenied as error:
            kind = SkillMissing if error.status == 404 or "NotFound" in error.code else SkillError
            raise kind(f"{error}; nothing done") from error


def _row(one: SetAside) -> SetAsideRow:
    return SetAsideRow(
        id=one.id,
        handler=one.handler,
        arrived_at=one.record.arrived_at,
        partition_key=printable(one.record.partition_key),
        error=printable(one.error),
    )


def _found(every: Sequence[SetAside], record: str) -> SetAside:
    found = next((one for one in every if one.id == record), None)
    if found is None:
        raise SkillMissing(f"{printable(record, 80)} is not set aside")
    return found


def _text(data: bytes) -> str:
    """Return a record as JSON in ASCII, or as printable characters."""
    try:
        return json.dumps(json.loads(data), ensure_ascii=True)
    except (ValueError, RecursionError):
        return printable(data.decode(errors="replace"), PAYLOAD_BYTES_MAX)


def _settings(shadow: str, told: Any) -> SettingsRow:
    state = told.get("state", {})
    return SettingsRow(
        shadow=shadow,
        version=int(told.get("version", 0)),
        desired=_json(state.get("desired", {})),
        reported=_json(state.get("reported", {})),
    )


def _json(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=True), DETAILS_CHARACTERS_MAX)
