"""A registration makes an account fit its file, and no more: real boto3 against an account in this process."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from cloud.infra.deployment import emulator
from cloud.infra.deployment.account import Account
from cloud.infra.deployment.registration import put_signing_key, register, registered, signing_key_id
from cloud.infra.deployment.rollout import StackState
from cloud.infra.rules import SCHEDULES
from cloud.infra.schedules import NAME_CHARACTERS_MAX, firings
from cloud.stores.registry import read_registry
from tests.support.cloud.aws import PREFIX, REGION, aws_account
from tests.support.cloud.sites import FEEDER, ZONE, registry, registry_data

STACK = PREFIX.removesuffix("-")


@pytest.fixture
def account() -> Iterator[tuple[Account, StackState]]:
    """An account with what a stack makes for a registration."""
    with aws_account():
        boto3.client("scheduler").create_schedule_group(Name=STACK)
        client: Any = boto3.client("secretsmanager")
        secret = client.create_secret(Name="signing-key", SecretString="a random word")["ARN"]
        outputs = {"ScheduleRole": "arn:aws:iam::123456789012:role/ticks", "SigningKeySecret": secret}
        yield Account(stack=STACK, region=REGION), StackState(state="CREATE_COMPLETE", outputs=outputs)


def _schedules() -> dict[str, Any]:
    client: Any = boto3.client("scheduler")
    names = [each["Name"] for each in client.list_schedules(GroupName=STACK)["Schedules"]]
    return {name: client.get_schedule(Name=name, GroupName=STACK) for name in names}


def test_every_zone_and_feeder_has_its_ticks(account: tuple[Account, StackState]) -> None:
    """A zone without its tick opens no products, a feeder without one renews no order."""
    done = register(*account, registry())
    assert (done.sites, done.zones, done.feeders, done.schedules_made) == (4, 1, 1, len(SCHEDULES))
    assert registered(account[0]) == registry()
    made = _schedules()
    tick = made[f"grid-tick.{FEEDER}"]
    assert json.loads(tick["Target"]["Input"]) == {
        "time": "<aws.scheduler.scheduled-time>",
        "feeder": FEEDER,
        "zone": ZONE,
    }
    assert tick["Target"]["Arn"].endswith(f":function:{PREFIX}grid-tick:live")
    assert {name: each["ScheduleExpression"] for name, each in made.items()} == {
        firing.name: firing.expression for firing in firings(registry())
    }
    assert made[f"market-tick.{ZONE}"]["ScheduleExpression"] == "rate(1 minute)"


def test_forecasts_of_many_zones_come_over_the_hour() -> None:
    """A thousand zones in one minute would read the history of all their sites in it."""
    data = registry_data()
    data["zones"] += [{"id": f"other-{number}"} for number in range(600)]
    hourly = [firing.expression for firing in firings(read_registry(data, where="test")) if "forecast" in firing.name]
    minutes = [int(expression.removeprefix("cron(").split()[0]) for expression in hourly]
    assert len(set(minutes)) == 60 and max(minutes.count(minute) for minute in minutes) < 30


def test_a_second_registration_changes_what_is_new_and_ends_what_is_gone(account: tuple[Account, StackState]) -> None:
    """The file is the whole of who takes part; a schedule of a feeder that is gone would fail each minute."""
    register(*account, registry())
    again = register(*account, registry())
    assert (again.schedules_made, again.schedules_changed, again.schedules_ended) == (0, 0, 0)
    client: Any = boto3.client("scheduler")
    held = client.get_schedule(Name=f"market-tick.{ZONE}", GroupName=STACK)
    keys = ("Name", "GroupName", "FlexibleTimeWindow", "Target")
    client.update_schedule(**{key: held[key] for key in keys}, ScheduleExpression="rate(9 minutes)")
    data = registry_data()
    data["feeders"] = []
    data["sites"] = [{key: value for key, value in site.items() if key != "feeder"} for site in data["sites"]]
    less = register(*account, read_registry(data, where="test"))
    assert (less.schedules_made, less.schedules_changed, less.schedules_ended) == (0, 1, 1)
    assert _schedules().keys() == {f"market-tick.{ZONE}", f"forecast-tick.{ZONE}"}


def test_a_new_secret_is_no_signing_key(account: tuple[Account, StackState]) -> None:
    """CloudFormation fills a secret with a random word; a function that reads it as a key fails at its first order."""
    assert signing_key_id(*account) is None
    put_signing_key(*account, pem="-----BEGIN PRIVATE KEY-----", key_id="k1")
    put_signing_key(*account, pem="-----BEGIN PRIVATE KEY-----", key_id="k2")
    assert signing_key_id(*account) == "k2"


def test_names_of_schedules_fit_and_differ() -> None:
    """A zone's name may be as long as the whole name of a schedule."""
    data = registry_data()
    zones = [f"{'z' * 61}{number}" for number in range(2)]
    data["zones"] += [{"id": zone} for zone in zones]
    names = [firing.name for firing in firings(read_registry(data, where="test"))]
    assert len(set(names)) == len(names)
    assert all(len(name) <= NAME_CHARACTERS_MAX for name in names)


def test_what_an_emulator_lacks_is_left_out_by_name() -> None:
    """And nothing else; nobody waits for what is not there."""
    policy = {"Type": "AWS::IoT::Policy", "DependsOn": ["a", "c"]}
    resources = {"a": {"Type": "AWS::IoT::CustomMetric"}, "b": policy, "c": {"Type": "AWS::IoT::Policy"}}
    kept = {"b": {"Type": "AWS::IoT::Policy", "DependsOn": ["c"]}, "c": {"Type": "AWS::IoT::Policy"}}
    assert emulator.without({"Resources": resources, "Outputs": 1}) == {"Resources": kept, "Outputs": 1}
    turned = {"a": {"Type": "AWS::Lambda::Alias", "UpdatePolicy": {"CodeDeployLambdaAliasUpdate": {}}}}
    assert emulator.without({"Resources": turned}) == {"Resources": {"a": {"Type": "AWS::Lambda::Alias"}}}
    waits = {"a": {"Type": "AWS::IoT::CustomMetric"}, "b": {"Type": "AWS::IoT::Policy", "DependsOn": "a"}}
    assert emulator.without({"Resources": waits}) == {"Resources": {"b": {"Type": "AWS::IoT::Policy"}}}


def test_a_policy_on_a_secret_names_its_arn_where_a_reference_is_a_name() -> None:
    """On AWS a reference to a secret is its ARN; an emulator's is a name, which a policy cannot grant."""
    policy = {"Type": "AWS::IAM::Policy", "Properties": {"Resource": {"Ref": "key"}}}
    resources = {"key": {"Type": "AWS::SecretsManager::Secret"}, "p": policy}
    made = emulator.without({"Resources": resources})["Resources"]
    arn = "arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${key}*"
    assert made == {**resources, "p": {"Type": "AWS::IAM::Policy", "Properties": {"Resource": {"Fn::Sub": arn}}}}
