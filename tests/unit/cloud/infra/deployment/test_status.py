"""What a look at a stack tells of its alarms."""

import re

from cloud.infra.deployment.account import Account
from cloud.infra.deployment.status import raised_alarms
from tests.support.cloud.aws import REGION, aws


def test_raised_alarms_of_the_stack_are_told_by_what_they_say() -> None:
    """Not those of another stack, nor those that are quiet; what two of them say is said once."""
    account = Account(stack="sitewatt", region=REGION)
    with aws():
        client = account.client("cloudwatch")
        alarms = {"sitewatt-a": "it fails", "sitewatt-b": "it fails", "sitewatt-c": "late", "other-d": "not ours"}
        for name, said in alarms.items():
            client.put_metric_alarm(
                AlarmName=name, AlarmDescription=said, MetricName="Errors", Namespace="AWS/Lambda", Statistic="Sum",
                Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
            )  # fmt: skip
            if name != "sitewatt-c":
                client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=f"test {name[-1]}")
        (told,) = raised_alarms(account)
    assert re.fullmatch(r"it fails \(since \d{4}-\d\d-\d\d \d\d:\d\d UTC: test a\)", told)
