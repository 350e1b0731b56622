"""A switch that breaks the function which reads it is taken back by its alarm, kept for ``docs/aws.md``.

Against an emulator (part of ``make aws``), which has this part of AppConfig: it watches a change and goes back where
the alarm of its environment is raised. Alarms are judged there when a figure is put, so one is.
"""

import json
from typing import Any

import pytest

from tests.support.cloud.aws_stack import await_true
from tests.support.cloud.emulator import Emulator
from tests.support.cloud.transcript import Transcript

pytestmark = pytest.mark.slow


def test_a_switch_goes_back_by_itself_where_the_function_that_reads_it_fails(
    aws: Emulator, stack: dict[str, Any], transcript: Transcript
) -> None:
    """A call that fails raises the alarm; nobody types the way back."""
    where = ("--endpoint", aws.endpoint)
    assert "weather  off" in transcript.run("cloud", "features", "--off", "weather", *where)
    failing = {"FunctionName": "sitewatt-forecast-tick:live", "Payload": json.dumps({"time": "no time"}).encode()}
    assert "FunctionError" in aws.client("lambda").invoke(**failing)
    aws.client("cloudwatch").put_metric_data(Namespace="test", MetricData=[{"MetricName": "judge", "Value": 1.0}])
    transcript.note(
        "a call of forecast-tick fails: its alarm is raised within the ten minutes in which the change is watched"
    )
    there = {
        "ApplicationId": stack["outputs"]["FeaturesApplication"],
        "EnvironmentId": stack["outputs"]["FeaturesEnvironment"],
    }

    def state() -> str:
        deployments = aws.client("appconfig").list_deployments(**there)["Items"]
        return str(max(deployments, key=lambda each: int(each["DeploymentNumber"]))["State"])

    await_true(lambda: state() == "ROLLED_BACK", why="the change stays")
    assert "weather  on" in transcript.run("cloud", "features", *where)
    assert "alarm: what reads the features fails" in transcript.run("cloud", "status", *where, expect=1)
