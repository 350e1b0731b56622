"""Brings a stack up or to a new state, and takes it down; CloudFormation takes back what does not go well."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from cloud.errors import DeployError
from cloud.infra.deployment.account import Account, is_missing, said
from cloud.infra.functions import Bundle

TIMEOUT_S: Final = 3600.0
EVENTS_MAX: Final = 5  # Of the reasons of a failure, the first ones say why.
KEY_WAIT_D: Final = 7  # The least that a key waits for its end. Source: AWS KMS API, ScheduleKeyDeletion.

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class StackState:
    """A stack as CloudFormation knows it."""

    state: str
    outputs: Mapping[str, str]

    @property
    def settled(self) -> bool:
        """Return whether nothing goes on."""
        return not self.state.endswith("_IN_PROGRESS")

    @property
    def well(self) -> bool:
        """Return whether the last change was made."""
        return self.state in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


def state_of(account: Account) -> StackState | None:
    """Return how a stack stands, ``None`` where there is none.

    Raises:
        DeployError: CloudFormation cannot be asked.
    """
    try:
        with said(f"stack {account.stack} cannot be looked at"):
            (stack,) = account.client("cloudformation").describe_stacks(StackName=account.stack)["Stacks"]
    except DeployError as error:
        if isinstance(error.__cause__, ClientError) and is_missing(error.__cause__):
            return None
        raise
    if stack["StackStatus"] == "DELETE_COMPLETE":
        return None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
    return StackState(state=stack["StackStatus"], outputs=outputs)


def code_key(bundle: Bundle, sha256: str) -> str:
    """Return the name of a bundle's object: another content has another name, so a template says what it runs."""
    return f"bundles/{bundle}-{sha256}.zip"


def deploy(
    account: Account, template: Mapping[str, object], bundles: Mapping[Bundle, tuple[Path, str]], *, say: Say
) -> StackState:
    """Upload the code and the template and make or change the stack; wait for the end.

    Args:
        account: Where.
        template: What CloudFormation is given.
        bundles: The file of each bundle and its SHA-256.
        say: Is told how far it is.

    Raises:
        DeployError: It was not made; what had been changed was taken back, and the reasons are told.
    """
    with said("the code cannot be uploaded"):
        url = _upload(account, template, bundles, say=say)
    before = state_of(account)
    if before is not None and before.state == "ROLLBACK_COMPLETE":
        raise DeployError(f"stack {account.stack} was never made ({before.state}): destroy it, then deploy anew")
    client = account.client("cloudformation")
    change = client.create_stack if before is None else client.update_stack
    parameters = {
        "BundleBucket": account.code_bucket,
        **{f"{bundle.value.title()}Bundle": code_key(bundle, sha256) for bundle, (_, sha256) in bundles.items()},
    }
    try:
        with said(f"stack {account.stack} was not changed"):
            change(
                StackName=account.stack,
                TemplateURL=url,
                Capabilities=["CAPABILITY_NAMED_IAM"],
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
                Tags=[{"Key": "application", "Value": "sitewatt"}],
            )
    except DeployError as error:
        if "No updates are to be performed" not in str(error):
            raise
    after = _wait(account, say=say)
    if after is None or not after.well:
        state = "gone" if after is None else after.state
        raise DeployError(f"stack {account.stack} is {state}: {'; '.join(_reasons(account)) or 'no reason given'}")
    return after


def destroy(account: Account, *, with_data: bool, say: Say) -> tuple[str, ...]:
    """Take a stack down and return what is kept.

    Args:
        account: Where.
        with_data: Whether tables, lake, keys and code, which a stack's end keeps, go too.
        say: Is told how far it is.

    Raises:
        DeployError: Something could not be removed; the command can be given again.
    """
    with said(f"stack {account.stack} was not removed"):
        held = list(_resources(account)) if state_of(account) is not None else []
        _end_schedules(account)
        if held:
            account.client("cloudformation").delete_stack(StackName=account.stack)
            after = _wait(account, say=say)
            if after is not None:
                raise DeployError(f"stack {account.stack} is {after.state}: {'; '.join(_reasons(account))}")
        retained = [(kind, name) for kind, name in held if kind in _REMOVERS]
        if not with_data:
            return tuple(f"{kind} {name}" for kind, name in retained if _exists(account, kind, name))
        for kind, name in sorted(retained, key=lambda each: list(_REMOVERS).index(each[0])):
            say(f"removing {kind} {name}")
            _unless_missing(lambda kind=kind, name=name: _REMOVERS[kind](account, name))  # type: ignore[misc]
        _unless_missing(lambda: _remove_bucket(account, account.code_bucket))
    return ()


def _upload(
    account: Account, template: Mapping[str, object], bundles: Mapping[Bundle, tuple[Path, str]], *, say: Say
) -> str:
    s3, bucket = account.client("s3"), account.code_bucket
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        say(f"making bucket {bucket}")
        # The oldest Region takes no constraint. Source: Amazon S3 API, CreateBucket.
        where = {} if account.region == "us-east-1" else {"LocationConstraint": account.region}
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
    for bundle, (path, sha256) in bundles.items():
        key = code_key(bundle, sha256)
        if "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key):
            say(f"uploading {path.name}, {path.stat().st_size / 1e6:.0f} MB")
            s3.upload_file(str(path), bucket, key)
    key = f"templates/{account.stack}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(template).encode())
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _wait(account: Account, *, say: Say) -> StackState | None:
    """Return the state in which a stack comes to rest, ``None`` once it is gone."""
    deadline_s, told = time.monotonic() + TIMEOUT_S, ""
    while (state := state_of(account)) is not None and not state.settled:
        if state.state != told:
            told = state.state
            say(f"stack {account.stack}: {told}")
        if time.monotonic() > deadline_s:
            raise DeployError(f"stack {account.stack} is still {state.state} after {TIMEOUT_S:.0f} s; it goes on")
        time.sleep(account.poll_s)
    return state


def _reasons(account: Account) -> list[str]:
    pages = account.client("cloudformation").get_paginator("describe_stack_events")
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
        for page in pages.paginate(StackName=account.stack)
        for event in page["StackEvents"]
        if event["ResourceStatus"].endswith("_FAILED")
    ]
    return failed[::-1][:EVENTS_MAX]  # The oldest is the cause.


def _resources(account: Account) -> Iterator[tuple[str, str]]:
    pages = account.client("cloudformation").get_paginator("list_stack_resources")
    for page in pages.paginate(StackName=account.stack):
        for each in page["StackResourceSummaries"]:
            if each.get("PhysicalResourceId"):
                yield each["ResourceType"], each["PhysicalResourceId"]


def _end_schedules(account: Account) -> None:
    """Remove the schedules of zones and feeders, which were made beside the stack."""
    client = account.client("scheduler")

    def end() -> None:
        for page in client.get_paginator("list_schedules").paginate(GroupName=account.stack):
            for each in page["Schedules"]:
                client.delete_schedule(Name=each["Name"], GroupName=account.stack)

    _unless_missing(end)


def _exists(account: Account, kind: str, name: str) -> bool:
    looks: dict[str, Callable[[], Any]] = {
        "AWS::DynamoDB::GlobalTable": lambda: account.client("dynamodb").describe_table(TableName=name),
        "AWS::S3::Bucket": lambda: account.client("s3").head_bucket(Bucket=name),
        "AWS::SecretsManager::Secret": lambda: account.client("secretsmanager").describe_secret(SecretId=name),
        "AWS::KMS::Key": lambda: account.client("kms").describe_key(KeyId=name),
    }
    try:
        looks[kind]()
    except ClientError:
        return False
    return True


def _remove_table(account: Account, name: str) -> None:
    client = account.client("dynamodb")
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)


def _remove_bucket(account: Account, name: str) -> None:
    client = account.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        held = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if held:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in held]
            client.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    client.delete_bucket(Bucket=name)


def _remove_secret(account: Account, name: str) -> None:
    account.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def _remove_key(account: Account, name: str) -> None:
    account.client("kms").schedule_key_deletion(KeyId=name, PendingWindowInDays=KEY_WAIT_D)


# What a stack's end keeps, in the order in which it can go: the keys last.
_REMOVERS: Final[dict[str, Callable[[Account, str], None]]] = {
    "AWS::DynamoDB::GlobalTable": _remove_table,
    "AWS::S3::Bucket": _remove_bucket,
    "AWS::SecretsManager::Secret": _remove_secret,
    "AWS::KMS::Key": _remove_key,
}


def _unless_missing(act: Callable[[], object]) -> None:
    try:
        act()
    except ClientError as error:
        if not is_missing(error) and "NoSuchBucket" not in str(error):
            raise
