"""Turns the switches of a stack: the next version of its AppConfig configuration, and its deployment."""

import time
from typing import Any, Final

from cloud.errors import DeployError
from cloud.infra.deployment.account import Account, said
from cloud.infra.deployment.rollout import StackState
from cloud.stores.features import Features, features_of

ENDED_S_MAX: Final = 60.0
_GOING_ON: Final = ("VALIDATING", "DEPLOYING", "BAKING", "ROLLING_BACK")
_OF: Final = {"ApplicationId": "FeaturesApplication", "ConfigurationProfileId": "FeaturesProfile"}


def stack_features(account: Account, stack: StackState) -> Features:
    """Return the switches that a stack's functions are given.

    Raises:
        DeployError: They cannot be read.
        SetupError: They are of no form that is known here.
    """
    client = account.client("appconfigdata")
    with said("the features cannot be looked at"):
        begun = client.start_configuration_session(
            ApplicationIdentifier=stack.outputs["FeaturesApplication"],
            EnvironmentIdentifier=stack.outputs["FeaturesEnvironment"],
            ConfigurationProfileIdentifier=stack.outputs["FeaturesProfile"],
        )
        answer = client.get_latest_configuration(ConfigurationToken=begun["InitialConfigurationToken"])
        return features_of(answer["Configuration"].read(), where=f"stack {account.stack}")


def switch(account: Account, stack: StackState, features: Features, *, why: str) -> int:
    """Put switches in force and return the number of the deployment; each carries the word of who asked.

    A change that is still watched is ended first: AppConfig goes back to the version before it, and then on to this.

    Raises:
        DeployError: AppConfig refused them, or does not end the change before; give the command again.
    """
    client = account.client("appconfig")
    where = {name: stack.outputs[output] for name, output in _OF.items()}
    with said("the features were not switched"):
        version = client.create_hosted_configuration_version(
            **where, Content=features.text().encode(), ContentType="application/json", Description=why
        )
        _end_what_is_watched(client, stack, poll_s=account.poll_s)
        begun = client.start_deployment(
            **where,
            EnvironmentId=stack.outputs["FeaturesEnvironment"],
            DeploymentStrategyId=stack.outputs["FeaturesStrategy"],
            ConfigurationVersion=str(version["VersionNumber"]),
            Description=why,
        )
    return int(begun["DeploymentNumber"])


def _end_what_is_watched(client: Any, stack: StackState, *, poll_s: float) -> None:
    """End deployments that go on, and wait until they have.

    Source: AWS AppConfig API reference, StopDeployment (``AllowRevert`` ends one in any state before its end).
    """
    there = {
        "ApplicationId": stack.outputs["FeaturesApplication"],
        "EnvironmentId": stack.outputs["FeaturesEnvironment"],
    }
    deadline_s, stopped = time.monotonic() + ENDED_S_MAX, set[int]()
    while True:
        listed = client.list_deployments(**there)["Items"]
        going_on = [each["DeploymentNumber"] for each in listed if each["State"] in _GOING_ON]
        if not going_on:
            return
        for number in set(going_on) - stopped:
            client.stop_deployment(**there, DeploymentNumber=number, AllowRevert=True)
            stopped.add(number)
        if time.monotonic() > deadline_s:
            raise DeployError(f"the features were not switched: deployment {going_on[0]} does not end")
        time.sleep(poll_s)
