"""The switches are the same in a file and in AppConfig, and what cannot be read switches nothing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from cloud.errors import SetupError
from cloud.stores.features import AGE_S_MAX, Features, Switches, features_of, in_appconfig, in_file
from contracts.features import Feature
from sitewatt.commands.cloud import app


def test_every_feature_is_a_switch_that_is_on() -> None:
    """A name on the wire without a switch could not be turned."""
    assert [*Features.model_fields] == [each.value for each in Feature]
    assert Features().off == () and features_of("", where="x") == Features()
    assert [Features().switched(each, on=False).off for each in Feature] == [(each,) for each in Feature]


@pytest.mark.parametrize("text", ["[]", '{"weather": "no"}', '{"weather": 0}', '{"wether": false}', "{", b"\xff"])
def test_what_is_no_switch_is_refused(text: str | bytes) -> None:
    """A name that is mistyped would be thought to be off."""
    with pytest.raises(SetupError, match="of the form"):
        features_of(text, where="x")


def _switches(path: Path) -> tuple[Switches, list[float]]:
    now_s = [0.0]
    switches = in_file(path)
    switches._monotonic = lambda: now_s[0]
    return switches, now_s


def test_a_file_is_read_again_after_a_minute_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    """Each tick asks; the disk is asked once a minute."""
    path = tmp_path / "features.json"
    switches, now_s = _switches(path)
    assert switches() == Features()
    path.write_text('{"plans": false}')
    assert switches() == Features()
    now_s[0] += AGE_S_MAX
    assert switches().off == (Feature.PLANS,)
    path.write_text('{"plans": 7}')
    now_s[0] += AGE_S_MAX
    assert switches().off == (Feature.PLANS,)
    path.unlink()
    now_s[0] += AGE_S_MAX
    assert switches() == Features()


class _AppConfig:
    """Answers as AppConfig does: a token is good for one call, and what is not new is empty."""

    def __init__(self) -> None:
        self.text, self.token, self.told, self.sessions, self.away = b"{}", 0, b"", 0, False

    def start_configuration_session(self, **asked: str) -> dict[str, Any]:
        assert asked["ApplicationIdentifier"] == "app" and asked["ConfigurationProfileIdentifier"] == "profile"
        self.sessions += 1
        self.told = b""
        return {"InitialConfigurationToken": str(self.token)}

    def get_latest_configuration(self, *, ConfigurationToken: str) -> dict[str, Any]:
        if self.away or ConfigurationToken != str(self.token):
            raise ClientError({"Error": {"Code": "BadRequestException", "Message": "token"}}, "GetLatestConfiguration")
        self.token += 1
        text, self.told = (b"" if self.text == self.told else self.text), self.text
        return {"NextPollConfigurationToken": str(self.token), "Configuration": io.BytesIO(text)}


def test_appconfig_is_asked_by_one_session_and_begun_anew_where_that_is_lost() -> None:
    """An answer without content says that nothing is new, not that nothing is off."""
    service, now_s = _AppConfig(), [0.0]
    switches = in_appconfig("app/live/profile", client=service)
    switches._monotonic = lambda: now_s[0]

    def later() -> Features:
        now_s[0] += AGE_S_MAX
        return switches()

    assert later() == Features()
    service.text = b'{"weather": false}'
    assert later().off == (Feature.WEATHER,)
    assert later().off == (Feature.WEATHER,) and service.sessions == 1
    service.away = True
    assert later().off == (Feature.WEATHER,)
    service.away, service.text = False, b"{}"
    assert later() == Features() and service.sessions == 2


def test_an_operator_switches_a_private_cloud_by_its_folder(tmp_path: Path) -> None:
    """What the command writes is what the cloud reads."""

    def told(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["features", "--folder", str(tmp_path), *arguments, "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.output.splitlines()[-1])

    assert told()["off"] == [] and not [*tmp_path.iterdir()]
    assert told("--off", "plans", "--off", "weather")["off"] == ["weather", "plans"]
    assert told("--on", "weather")["off"] == ["plans"]
    assert in_file(tmp_path / "features.json")().off == (Feature.PLANS,)
    (tmp_path / "features.json").write_text("nothing of ours")
    assert told("--on", "plans", code=2)["error"]["code"] == "bad_input"
