"""Tells a stack who takes part: the registry, a schedule for each zone and feeder, and the key that signs commands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from cloud.errors import SetupError
from cloud.infra.deployment.account import Account, is_missing, said
from cloud.infra.deployment.rollout import StackState
from cloud.infra.schedules import Firing, firings
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.registry import Registry, load_registry, save_registry

# A tick that comes later than this would say what the next one says.
TICK_AGE_S_MAX: Final = 60
KEY_TAG: Final = "signing-key-id"
SCHEDULED_TIME: Final = (
    "<aws.scheduler.scheduled-time>"  # Source: EventBridge Scheduler user guide, context attributes.
)


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What a registration changed."""

    sites: int
    zones: int
    feeders: int
    schedules_made: int
    schedules_changed: int
    schedules_ended: int


def register(account: Account, stack: StackState, registry: Registry) -> Registered:
    """Write the registry and make the schedules fit it; what fits already is left alone.

    Functions that are warm read the registry again within a minute.

    Raises:
        DeployError: A service refused; give the command again.
        StoreError: The registry could not be written.
    """
    save_registry(DynamoTables(account.client("dynamodb"), prefix=account.prefix), registry)
    with said("the schedules were not made to fit"):
        counts = _schedules(account, stack, {firing.name: firing for firing in firings(registry)})
    return Registered(
        sites=len(registry.sites),
        zones=len(registry.zones),
        feeders=len(registry.feeders),
        schedules_made=counts["made"],
        schedules_changed=counts["changed"],
        schedules_ended=counts["ended"],
    )


def registered(account: Account) -> Registry | None:
    """Return the registry of a stack, ``None`` where none was written yet.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        return load_registry(DynamoTables(account.client("dynamodb"), prefix=account.prefix))
    except SetupError:
        return None


def signing_key_id(account: Account, stack: StackState) -> str | None:
    """Return the id of the key that commands are signed with, ``None`` while none was put.

    A new secret holds a random word, so its having a value says nothing.

    Raises:
        DeployError: It cannot be looked at.
    """
    with said("the signing key cannot be looked at"):
        told = account.client("secretsmanager").describe_secret(SecretId=stack.outputs["SigningKeySecret"])
    return next((str(tag["Value"]) for tag in told.get("Tags", ()) if tag["Key"] == KEY_TAG), None)


def put_signing_key(account: Account, stack: StackState, *, pem: str, key_id: str) -> None:
    """Put the key that commands are signed with; the one before stays as its previous version.

    Raises:
        DeployError: It was not put, or not marked as put; give the command again.
    """
    client, secret = account.client("secretsmanager"), stack.outputs["SigningKeySecret"]
    with said("the signing key was not put"):
        client.put_secret_value(SecretId=secret, SecretString=pem)
        client.tag_resource(SecretId=secret, Tags=[{"Key": KEY_TAG, "Value": key_id}])


def _schedules(account: Account, stack: StackState, wanted: Mapping[str, Firing]) -> dict[str, int]:
    client, counts = account.client("scheduler"), {"made": 0, "changed": 0, "ended": 0}
    pages = client.get_paginator("list_schedules").paginate(GroupName=account.stack)
    there = {each["Name"] for page in pages for each in page["Schedules"]}
    for name in sorted(there - wanted.keys()):
        client.delete_schedule(Name=name, GroupName=account.stack)
        counts["ended"] += 1
    for name, firing in wanted.items():
        request = _request(account, stack, firing)
        if name not in there:
            client.create_schedule(**request)
            counts["made"] += 1
        elif _differs(client, request):
            client.update_schedule(**request)
            counts["changed"] += 1
    return counts


def _request(account: Account, stack: StackState, firing: Firing) -> dict[str, object]:
    function = account.prefix + firing.schedule.handler.rpartition(".")[2].replace("_", "-")
    return {
        "Name": firing.name,
        "GroupName": account.stack,
        "ScheduleExpression": firing.expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": f"arn:aws:lambda:{account.region}:{account.number}:function:{function}:live",
            "RoleArn": stack.outputs["ScheduleRole"],
            "Input": json.dumps({"time": SCHEDULED_TIME, **firing.target}),
            "RetryPolicy": {"MaximumEventAgeInSeconds": TICK_AGE_S_MAX, "MaximumRetryAttempts": 1},
        },
    }


def _differs(client: Any, request: Mapping[str, Any]) -> bool:
    try:
        held = client.get_schedule(Name=request["Name"], GroupName=request["GroupName"])
    except ClientError as error:
        if is_missing(error):
            return True
        raise
    return any(held.get(name) != value for name, value in request.items() if name != "Target") or any(
        held["Target"].get(name) != value for name, value in request["Target"].items()
    )
