"""Copies what a stack keeps for good out of its Region, and puts a copy into a stack where nobody takes part yet.

Copied are the tables that are protected against deletion: register, market, trades, the grid's evidence. DynamoDB
brings them back beside the live ones as they were at one second; these are read into files and removed. Items stay as
DynamoDB holds them, with their versions. One machine reads them, some thousand items a second: meant for up to a
thousand sites, AWS Backup's own copies serve more.

Source: Amazon DynamoDB developer guide, "Point-in-time recovery"; API reference, BatchWriteItem.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from cloud.errors import DeployError, SetupError
from cloud.infra.deployment.account import Account, said
from cloud.infra.deployment.registration import registered
from cloud.infra.tables import TABLES
from cloud.stores import keys
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.private_files import private_folder, write_private
from cloud.stores.tables import Table, Tables
from contracts.reasons import file_reason_of

COPIED: Final = tuple(each.table for each in TABLES if each.protected)
MANIFEST: Final = "manifest.json"
BROUGHT_BACK_S_MAX: Final = 4 * 3600.0  # Until DynamoDB has a table back; mostly a quarter of an hour.
ITEMS_A_WRITE: Final = 25  # Source: BatchWriteItem.
WRITES_AGAIN_MAX: Final = 20  # Of one batch, with a pause that doubles up to a second.

RawItem = dict[str, Any]
Judge = Callable[[Tables], tuple[int, int]]
"""Return the lines of the ledger and their sum, in millionths of a cent."""


@dataclass(frozen=True, kw_only=True)
class StackCopy:
    """What a copy holds: of which stack and second, how many items of each table, each file's SHA-256, the ledger."""

    stack: str
    region: str
    at: str
    items: dict[str, int]
    files: dict[str, str]
    ledger_lines: int
    ledger_sum: int


def copy_out(
    account: Account, out: Path, *, at: datetime | None, judge: Judge, say: Callable[[str], None]
) -> StackCopy:
    """Copy the tables as they were at one second into a folder that does not exist yet; the stack goes on.

    Args:
        account: Where.
        out: The folder.
        at: The second; the last that every table can be brought back to (some five minutes ago) without it.
        judge: Reads the ledger of the copy.
        say: Is told how far it is.

    Raises:
        SetupError: Something is where the copy goes.
        DeployError: A table cannot be brought back to that second, or the ledger does not sum to zero; nothing is kept.
    """
    if out.exists():
        raise SetupError(f"{out} is there already; nothing copied")
    with said(f"stack {account.stack} was not copied"):
        second = (at or _last_second(account)).astimezone(UTC).replace(microsecond=0)
        beside = f"{account.prefix}copy-{second:%Y%m%d%H%M%S}-"
        work = private_folder(out.with_name(out.name + ".part"))
        try:
            _bring_back(account, second, beside, say=say)
            items = {table.value: _write_out(account, beside + table.value, _file(work, table)) for table in COPIED}
            lines, total = judge(DynamoTables(account.client("dynamodb"), prefix=beside))
            if total:
                raise DeployError(f"the ledger of the copy sums to {total}, not to zero; nothing copied")
            made = StackCopy(
                stack=account.stack,
                region=account.region,
                at=second.isoformat(),
                items=items,
                files={_file(work, table).name: _digest(_file(work, table)) for table in COPIED},
                ledger_lines=lines,
                ledger_sum=total,
            )
            write_private(work / MANIFEST, json.dumps(asdict(made), indent=1).encode())
            work.rename(out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            _remove(account, beside, say=say)
    return made


def put_back(account: Account, copy: Path, *, judge: Judge) -> StackCopy:
    """Put a copy into a stack where nobody is registered; the register comes last, so it may be given again.

    Raises:
        SetupError: Somebody is registered there, or this is no whole copy; nothing was put.
        DeployError: A write was refused, or the ledger is not that of the copy; give it again.
    """
    try:
        told = StackCopy(**json.loads((copy / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(f"{copy} is no copy of a stack: {file_reason_of(error)}; nothing restored") from error
    for name, wanted in told.files.items():
        if not (copy / name).is_file() or _digest(copy / name) != wanted:
            raise SetupError(f"{copy / name} is missing or not what was copied; nothing restored")
    if registered(account) is not None:
        raise SetupError(f"somebody is registered in stack {account.stack} already; nothing restored")
    last: list[RawItem] = []
    with said(f"stack {account.stack} is not whole: give it again"):
        for table in COPIED:
            items = _read(_file(copy, table), beside=last if table is keys.REGISTRY.table else None)
            while batch := list(islice(items, ITEMS_A_WRITE)):
                _put(account, account.prefix + table.value, batch)
        if last:
            _put(account, account.prefix + keys.REGISTRY.table.value, last)
    lines, total = judge(DynamoTables(account.client("dynamodb"), prefix=account.prefix))
    if (lines, total) != (told.ledger_lines, told.ledger_sum):
        raise DeployError(f"the ledger has {lines} lines that sum to {total}, the copy's {told.ledger_lines}")
    return told


def _last_second(account: Account) -> datetime:
    """Return the last second that every table can be brought back to; an emulator names none, and has only now."""
    client = account.client("dynamodb")
    ends = []
    for table in COPIED:
        told = client.describe_continuous_backups(TableName=account.prefix + table.value)
        recovery = told["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if "LatestRestorableDateTime" in recovery:
            ends.append(recovery["LatestRestorableDateTime"])
    return min(ends, default=datetime.now(UTC))


def _bring_back(account: Account, second: datetime, beside: str, *, say: Callable[[str], None]) -> None:
    client, deadline_s = account.client("dynamodb"), time.monotonic() + BROUGHT_BACK_S_MAX
    for table in COPIED:
        client.restore_table_to_point_in_time(
            SourceTableName=account.prefix + table.value,
            TargetTableName=beside + table.value,
            RestoreDateTime=second,
            BillingModeOverride="PAY_PER_REQUEST",
        )
    say(f"DynamoDB brings {len(COPIED)} tables back as of {second:%Y-%m-%d %H:%M:%S} UTC, beside the live ones")
    for table in COPIED:
        while client.describe_table(TableName=beside + table.value)["Table"]["TableStatus"] != "ACTIVE":
            if time.monotonic() > deadline_s:
                raise DeployError(f"{table} is not back after {BROUGHT_BACK_S_MAX / 3600:.0f} h; nothing copied")
            time.sleep(account.poll_s)


def _remove(account: Account, beside: str, *, say: Callable[[str], None]) -> None:
    """Remove what was brought back; a table that is still on its way cannot be, and is named: it is paid for."""
    client = account.client("dynamodb")
    for page in client.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if not name.startswith(beside):
                continue
            try:
                client.delete_table(TableName=name)
            except ClientError as error:
                say(f"table {name} was not removed, remove it by hand: {error}")


def _file(folder: Path, table: Table) -> Path:
    return folder / f"{table.value}.jsonl"


def _write_out(account: Account, name: str, path: Path) -> int:
    """Write every item of a table that nobody writes to, a line each, and return how many there are."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for page in account.client("dynamodb").get_paginator("scan").paginate(TableName=name):
            for raw in page["Items"]:
                file.write(json.dumps(raw, separators=(",", ":")) + "\n")
                count += 1
    return count


def _read(path: Path, *, beside: list[RawItem] | None) -> Iterator[RawItem]:
    """Yield the items of a file; the register goes to ``beside``, where that is given."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            raw: RawItem = json.loads(line)
            if beside is not None and (raw["pk"]["S"], raw["sk"]["S"]) == (keys.REGISTRY.pk, keys.REGISTRY.sk):
                beside.append(raw)
            else:
                yield raw


def _put(account: Account, name: str, items: list[RawItem]) -> None:
    client = account.client("dynamodb")
    left = {name: [{"PutRequest": {"Item": raw}} for raw in items]}
    for again in range(WRITES_AGAIN_MAX):
        left = client.batch_write_item(RequestItems=left).get("UnprocessedItems", {})
        if not left:
            return
        time.sleep(min(1.0, 0.05 * 2**again))
    raise DeployError(f"{name} takes no more, {len(left[name])} of {len(items)} items are left: give it again")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
