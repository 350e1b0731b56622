"""Turns the switches of a stack: the next version of its AppConfig configuration, and its deployment."""

from typing import Final

from cloud.infra.deployment.account import Account, said
from cloud.infra.deployment.rollout import StackState
from cloud.stores.features import Features, features_of

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

    Raises:
        DeployError: AppConfig refused them, or another deployment goes on; give the command again.
    """
    client = account.client("appconfig")
    where = {name: stack.outputs[output] for name, output in _OF.items()}
    with said("the features were not switched"):
        version = client.create_hosted_configuration_version(
            **where, Content=features.text().encode(), ContentType="application/json", Description=why
        )
        begun = client.start_deployment(
            **where,
            EnvironmentId=stack.outputs["FeaturesEnvironment"],
            DeploymentStrategyId=stack.outputs["FeaturesStrategy"],
            ConfigurationVersion=str(version["VersionNumber"]),
            Description=why,
        )
    return int(begun["DeploymentNumber"])
