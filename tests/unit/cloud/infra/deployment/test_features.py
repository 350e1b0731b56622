"""A switch may be turned again while the change before is still watched."""

from typing import Any

import pytest

from cloud.errors import DeployError
from cloud.infra.deployment import features as of_stack
from cloud.infra.deployment.account import Account
from cloud.infra.deployment.rollout import StackState
from cloud.stores.features import Features

OUTPUTS = {f"Features{name}": name.lower() for name in ("Application", "Environment", "Profile", "Strategy")}
STACK = StackState(state="CREATE_COMPLETE", outputs=OUTPUTS)


class _Account(Account):
    def client(self, service: str) -> Any:
        assert service == "appconfig"
        return AppConfig.instance


class AppConfig:
    """Takes one deployment at a time, as AppConfig does, and ends one after ``ends_after`` looks."""

    instance: "AppConfig"

    def __init__(self, *, ends_after: int) -> None:
        self.states, self.contents, self.looks, self.ends_after = {1: "COMPLETE"}, [b"{}"], 0, ends_after
        AppConfig.instance = self

    def create_hosted_configuration_version(self, *, Content: bytes, **_: Any) -> dict[str, Any]:
        self.contents.append(Content)
        return {"VersionNumber": len(self.contents)}

    def list_deployments(self, **_: Any) -> dict[str, Any]:
        self.looks += 1
        for number, state in self.states.items():
            if state == "ROLLING_BACK" and self.looks >= self.ends_after:
                self.states[number] = "ROLLED_BACK"
        return {"Items": [{"DeploymentNumber": number, "State": state} for number, state in self.states.items()]}

    def stop_deployment(self, *, DeploymentNumber: int, AllowRevert: bool, **_: Any) -> None:
        assert AllowRevert and self.states[DeploymentNumber] == "BAKING"
        self.states[DeploymentNumber] = "ROLLING_BACK"

    def start_deployment(self, **asked: Any) -> dict[str, Any]:
        assert not {"BAKING", "ROLLING_BACK"} & {*self.states.values()}, "AppConfig refuses a second one"
        self.states[len(self.states) + 1] = "BAKING"
        assert asked["ConfigurationVersion"] == str(len(self.contents))
        return {"DeploymentNumber": len(self.states)}


def _switch(features: Features) -> int:
    account = _Account(stack="sitewatt", region="eu-central-1", endpoint="http://127.0.0.1:9")
    return of_stack.switch(account, STACK, features, why="a drill")


def test_a_change_that_is_watched_is_ended_for_the_next() -> None:
    """An operator who switched off by mistake does not wait for ten minutes."""
    service = AppConfig(ends_after=3)
    assert _switch(Features(weather=False)) == 2
    assert service.states[2] == "BAKING"
    assert _switch(Features()) == 3
    assert service.states == {1: "COMPLETE", 2: "ROLLED_BACK", 3: "BAKING"}
    assert service.contents[-1] == Features().text().encode()


def test_a_change_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a command that stands still."""
    monkeypatch.setattr(of_stack, "ENDED_S_MAX", 0.0)
    AppConfig(ends_after=10**9)
    _switch(Features(plans=False))
    with pytest.raises(DeployError, match="deployment 2 does not end"):
        _switch(Features())
