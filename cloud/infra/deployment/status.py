"""Looks at a stack: is what was deployed there and able to work."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from typing import Any

from cloud.infra.deployment.account import Account, said
from cloud.infra.deployment.registration import registered, signing_key_id
from cloud.infra.deployment.rollout import StackState
from cloud.infra.functions import FUNCTIONS, FunctionDefinition
from cloud.infra.schedules import firings
from cloud.infra.tables import TABLES, TableDefinition


@dataclass(frozen=True, kw_only=True)
class FunctionView:
    """A function, and the version that is called."""

    name: str
    version: str
    state: str


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table, and whether it can be brought back to any second of the last 35 days."""

    name: str
    state: str
    recovery: bool


@dataclass(frozen=True, kw_only=True)
class Status:
    """A stack as it stands; ``sites`` is ``None`` while nobody is registered, ``alarms`` are those that are raised."""

    state: str
    functions: tuple[FunctionView, ...]
    tables: tuple[TableView, ...]
    zones: int
    sites: int | None
    schedules: int
    set_aside: int
    signing_key: str | None
    alarms: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Return whether nothing was found that somebody must look at."""
        return not self.faults


def look(account: Account, stack: StackState) -> Status:
    """Ask a stack's parts how they are.

    Raises:
        DeployError: One of them cannot be asked.
        StoreError: The registry cannot be read.
    """
    registry = registered(account)
    with said(f"stack {account.stack} cannot be looked at"):
        functions = tuple(_function(account, each) for each in FUNCTIONS)
        tables = tuple(_table(account, each) for each in TABLES)
        pages = account.client("scheduler").get_paginator("list_schedules").paginate(GroupName=account.stack)
        schedules = {each["Name"] for page in pages for each in page["Schedules"]}
        alarms = tuple(raised_alarms(account))
        queue = account.client("sqs").get_queue_attributes(
            QueueUrl=stack.outputs["AsideQueue"], AttributeNames=["ApproximateNumberOfMessages"]
        )
    set_aside = int(queue["Attributes"]["ApproximateNumberOfMessages"])
    faults = [f"the stack is {stack.state}"] if not stack.well else []
    faults += [f"function {each.name} is {each.state}" for each in functions if each.state != "Active"]
    faults += [f"table {each.name} is {each.state}" for each in tables if each.state != "ACTIVE"]
    faults += [f"alarm: {each}" for each in alarms]
    faults += [f"{set_aside} records were set aside"] if set_aside else []
    if registry is not None:
        absent = sorted({firing.name for firing in firings(registry)} - schedules)
        faults += [f"schedule {name} is missing: sitewatt cloud register" for name in absent]
    if account.endpoint is None:  # An emulator has none.
        unsafe = [each.table.value for each, seen in zip(TABLES, tables, strict=True) if each.recovery > seen.recovery]
        faults += [f"table {name} cannot be brought back to an instant" for name in unsafe]
    key = signing_key_id(account, stack)
    if key is None:
        faults.append("there is no signing key: sitewatt cloud register --signing-key FILE")
    return Status(
        state=stack.state,
        functions=functions,
        tables=tables,
        zones=len(registry.zones) if registry else 0,
        sites=len(registry.sites) if registry else None,
        schedules=len(schedules),
        set_aside=set_aside,
        signing_key=key,
        alarms=alarms,
        faults=tuple(faults),
    )


def raised_alarms(account: Account) -> Iterator[str]:
    """Yield what the raised alarms of the stack say, since when and why; of those that say the same, the oldest."""
    asked = {"AlarmNamePrefix": account.prefix, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    pages = account.client("cloudwatch").get_paginator("describe_alarms").paginate(**asked)
    found = [each for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for each in page.get(kind, ())]
    raised = sorted(
        (str(each.get("AlarmDescription") or each["AlarmName"]), each["StateUpdatedTimestamp"], each["StateReason"])
        for each in found
        if each["StateValue"] == "ALARM"
    )
    for says, same in groupby(raised, key=lambda alarm: alarm[0]):
        _, since, why = next(same)
        yield f"{says} (since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {why})"


def _function(account: Account, definition: FunctionDefinition) -> FunctionView:
    client = account.client("lambda")
    name = account.prefix + definition.name
    alias: Any = client.get_alias(FunctionName=name, Name="live")
    told: Any = client.get_function_configuration(FunctionName=name, Qualifier="live")
    return FunctionView(name=definition.name, version=alias["FunctionVersion"], state=told.get("State", "Active"))


def _table(account: Account, definition: TableDefinition) -> TableView:
    client = account.client("dynamodb")
    name = account.prefix + definition.table.value
    state = client.describe_table(TableName=name)["Table"]["TableStatus"]
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED"
    return TableView(name=definition.table.value, state=state, recovery=recovery)
