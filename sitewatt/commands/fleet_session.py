"""What the commands of the fleet work with: the operator's hands, a signed update, and the wait for an answer."""

import asyncio
import base64
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.reasons import file_reason_of
from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from cloud.infra.fleet_operator import FleetOperator
    from cloud.stores.tables import Tables

POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Hands:
    """The operator of a fleet, the list of its serials, and the authority of a private broker."""

    operator: "FleetOperator"
    tables: "Tables"
    ca_path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A gateway of a list; it has no serial where it came in without an identity of its own."""

    name: str
    zone: str
    serial: str | None


@contextlib.contextmanager
def open_hands(local: Path | None, tables: str | None, *, as_json: bool) -> Iterator[Hands]:
    """Open what an operator works with; its errors end the command with one sentence."""
    with _in_one_sentence(as_json=as_json), contextlib.ExitStack() as stack:
        yield _open_local(local, stack) if local is not None else _open_aws(tables, stack)


@contextlib.contextmanager
def open_list(
    local: Path | None, tables: str | None, *, as_json: bool
) -> Iterator[tuple["Tables", tuple[Listed, ...]]]:
    """Open the tables and list the gateways: of a fleet, or the sites of a private cloud that runs without one."""
    with _in_one_sentence(as_json=as_json), contextlib.ExitStack() as stack:
        if local is not None and (plain := _tables_without_fleet(local, stack)) is not None:
            yield plain
            return
        hands = _open_local(local, stack) if local is not None else _open_aws(tables, stack)
        yield (
            hands.tables,
            tuple(Listed(name=one.name, zone=one.zone, serial=one.serial) for one in hands.operator.gateways()),
        )


@contextlib.contextmanager
def _in_one_sentence(*, as_json: bool) -> Iterator[None]:
    from cloud.errors import CloudError, FleetDenied, SetupError

    try:
        yield
    except SetupError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)
    except FleetDenied as error:
        fail(str(error), code=error.code, as_json=as_json)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    except OSError as error:
        fail(file_reason_of(error), code="bad_file", as_json=as_json, exit_code=BAD_INPUT)


def _tables_without_fleet(folder: Path, stack: contextlib.ExitStack) -> tuple["Tables", tuple[Listed, ...]] | None:
    """Return the tables and sites of a private cloud that runs without ``--tls``, ``None`` where the folder is none."""
    from cloud.local.fleet.run import FleetFolder
    from cloud.local.opening import open_tables, tables_place
    from cloud.stores.registry import load_registry

    place = tables_place(folder)
    if place is None or FleetFolder(folder=place.parent / "fleet").book_path.exists():
        return None
    tables = open_tables(place, read_only=True)
    stack.callback(tables.close)
    return tables, tuple(Listed(name=site.id, zone=site.zone, serial=None) for site in load_registry(tables).sites)


def _open_local(folder: Path, stack: contextlib.ExitStack) -> Hands:
    from cloud.errors import SetupError
    from cloud.local.fleet.authority import LocalAuthority
    from cloud.local.fleet.book import Book
    from cloud.local.fleet.operator import LocalOperator
    from cloud.local.fleet.run import FleetFolder
    from cloud.local.opening import TABLES_FILE, open_tables, tables_place
    from contracts.clock import SystemClock

    held = tables_place(folder)
    place = FleetFolder(folder=(folder if held is None else held.parent) / "fleet")
    if not place.book_path.exists() and held is not None:
        raise SetupError(
            f"{folder} is a private cloud without a fleet: start it with sitewatt cloud local --tls, and gateways get "
            "an identity by claim; sitewatt fleet list works without"
        )
    if not place.book_path.exists():
        raise SetupError(f"{folder} is not the folder of a private cloud; sitewatt cloud local --tls makes one")
    authority = LocalAuthority(place.authority_folder)
    book = Book.open(place.book_path)
    stack.callback(book.close)
    tables = open_tables(held or folder / TABLES_FILE)
    stack.callback(tables.close)
    operator = LocalOperator(book=book, authority=authority, clock=SystemClock())
    return Hands(operator=operator, tables=tables, ca_path=authority.ca_path)


def _open_aws(tables: str | None, stack: contextlib.ExitStack) -> Hands:
    import boto3
    from botocore.exceptions import BotoCoreError

    from cloud.errors import SetupError
    from cloud.infra.fleet_operator import AwsFleet
    from cloud.stores.setup import open_stores

    environ = {**os.environ, **({"SITEWATT_STORE": tables} if tables else {})}
    if not environ.get("SITEWATT_STORE"):
        raise SetupError(
            "no cloud is named: --local DIR is the folder of a private one; on AWS --tables STORE or SITEWATT_STORE"
        )
    try:
        opened = open_stores(environ).tables
        stack.callback(opened.close)
        return Hands(operator=AwsFleet(boto3.client("iot"), boto3.client("iot-data")), tables=opened)
    except BotoCoreError as error:  # No region, a profile that is not there.
        raise SetupError(
            f"AWS cannot be asked: {error}; a private cloud is named by its folder, --local DIR"
        ) from error


def signed_update(
    version: str, artefact: Path, url: str, key: Path, *, min_from: str, within_h: float
) -> dict[str, Any]:
    """Return a signed update document.

    Raises:
        ValueError: A part of it is not as gateways want it.
        OSError: A file cannot be read.
    """
    import hashlib
    from datetime import timedelta

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from pydantic import ValidationError

    from contracts.clock import SystemClock
    from edge.config import sentence
    from edge.fleet.update.document import UpdateDocument

    data = artefact.read_bytes()
    private = load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"{key} is not an Ed25519 key")  # noqa: TRY004 (the file is wrong, not the call)
    try:
        unsigned = UpdateDocument(
            version=version,
            artefact_url=url,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            min_from=min_from,
            deadline=SystemClock().now() + timedelta(hours=within_h),
            signature="",
        )
    except ValidationError as error:
        raise ValueError(sentence(error)) from error
    signature = base64.b64encode(private.sign(unsigned.signing_bytes())).decode()
    return {**unsigned.model_dump(mode="json"), "signature": signature}


def answered(
    operator: "FleetOperator", name: str, shadow: str, version: int, *, follow_s: float
) -> dict[str, Any] | None:
    """Return what a gateway answered to a version of its shadow or a newer one, ``None`` where it has not yet."""
    from contracts.clock import SystemClock

    clock = SystemClock()
    give_up_at = clock.monotonic() + follow_s
    while True:
        answer = operator.gateway(name).shadows[shadow]["state"].get("reported", {}).get("answer")
        if answer is not None and answer["version"] >= version:
            return dict(answer)
        if clock.monotonic() >= give_up_at:
            return None
        asyncio.run(clock.sleep(POLL_S))


def followed(operator: "FleetOperator", name: str, job_id: str, *, follow_s: float, as_json: bool) -> dict[str, Any]:
    """Return how a job stands, after waiting for its end; one that ended badly ends the command so."""
    from contracts.clock import SystemClock

    clock = SystemClock()
    give_up_at = clock.monotonic() + follow_s
    job = operator.job(name, job_id)
    while job.state in {"QUEUED", "IN_PROGRESS"} and clock.monotonic() < give_up_at:
        asyncio.run(clock.sleep(POLL_S))
        job = operator.job(name, job_id)
    told: dict[str, Any] = {"gateway": name, "job": job.id, "state": job.state, "details": job.details}
    if job.state not in {"QUEUED", "IN_PROGRESS", "SUCCEEDED"}:
        reason = job.details.get("reason", "no reason given")
        fail(f"job {job.id} of {name} {job.state.lower()}: {reason}", code=job.state, as_json=as_json, **told)
    return told
