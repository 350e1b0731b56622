"""What the operator of a stack is woken for: functions that fail, streams that are late or odd, records set aside."""

from collections.abc import Collection, Iterator, Mapping

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns

from cloud.figures import DIMENSION, FIGURES, NAMESPACE, Figure
from cloud.infra.rules import Carrier
from cloud.infra.stack.data import Data
from cloud.stores.tables import INDEX, Table

LATE_MS = 60_000  # An order that waits longer may miss its gate.
_PERIOD = Duration.minutes(1)
ODD_PERIOD = Duration.minutes(5)
ODD_DEVIATIONS = 4  # Three in a row of what happens by chance once in sixteen thousand times.
_WIDGETS_A_ROW = 3
# What the sound of the market rests on: its writer, its clock and its meters.
MARKET = ("cloud.handlers.orders", "cloud.handlers.meter", "cloud.handlers.market_tick")


def watch(
    stack: Stack,
    held: Data,
    functions: Mapping[str, lambda_.Function],
    *,
    tight: Collection[Table],
    key: kms.Key,
    prefix: str,
) -> sns.Topic:
    """Add alarms and one that says whether the market is sound, and return the topic that they speak on.

    ``tight`` are the tables that refuse what is beyond the capacity held ready for them.
    """
    topic = sns.Topic(stack, "alarms", master_key=key, enforce_ssl=True)
    may_speak(topic, key, "cloudwatch.amazonaws.com")
    CfnOutput(stack, "AlarmTopic", value=topic.topic_arn)
    failing = {
        handler: _lasting(
            function.metric_errors(period=_PERIOD, statistic="Sum"),
            stack,
            f"alarm-{function.node.id}",
            f"{handler} raised; its records are delivered again",
        )
        for handler, function in functions.items()
    }
    late = {
        carrier: stream.metric_get_records_iterator_age_milliseconds(period=_PERIOD, statistic="Maximum").create_alarm(
            stack,
            f"alarm-late-{carrier.value}",
            alarm_description=f"records of {carrier.value} wait longer than {LATE_MS // 1000} s to be read",
            threshold=LATE_MS,
            evaluation_periods=3,
        )
        for carrier, stream in held.streams.items()
    }
    aside = held.aside.metric_approximate_number_of_messages_visible(period=_PERIOD, statistic="Maximum").create_alarm(
        stack,
        "alarm-aside",
        alarm_description="records were set aside: look at them, then replay or drop them",
        threshold=1,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    sound = cloudwatch.CompositeAlarm(
        stack,
        "market-is-sound",
        composite_alarm_name=f"{prefix}market-is-sound",
        alarm_description="in alarm while the market's functions fail or its streams are read late",
        alarm_rule=cloudwatch.AlarmRule.any_of(*(failing[handler] for handler in MARKET), *late.values()),
    )
    _dashboard(stack, held, functions, prefix=prefix)
    action = actions.SnsAction(topic)
    refusing = [alarm for table in sorted(tight) for alarm in _refusals(stack, table, prefix=prefix)]
    odd = [_odd(stack, carrier, stream) for carrier, stream in held.streams.items()]
    for alarm in (*failing.values(), *late.values(), aside, sound, *refusing, *odd):
        alarm.add_alarm_action(action)
    return topic


def may_speak(topic: sns.Topic, key: kms.Key, service: str) -> None:
    """Let a service of this account publish on an encrypted topic whose policy is its own.

    Source: Amazon SNS developer guide, "Enable compatibility between event sources from AWS services and encrypted
    topics"; a policy of one's own takes the place of the one that lets the account's services in.
    """
    own = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    who = [iam.ServicePrincipal(service)]
    topic.add_to_resource_policy(
        iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn], principals=who, conditions=own)
    )
    uses = ["kms:Decrypt", "kms:GenerateDataKey*"]
    key.add_to_resource_policy(iam.PolicyStatement(actions=uses, resources=["*"], principals=who, conditions=own))


def _odd(stack: Stack, carrier: Carrier, stream: kinesis.Stream) -> cloudwatch.AnomalyDetectionAlarm:
    """Return the alarm of a stream that brings far less or more than is usual at that hour of that day.

    No threshold would do: a fleet grows, and the night has fewer orders than the day. CloudWatch learns for two weeks.
    Where nothing comes there is no figure, which counts as zero: silence is what must be seen first.
    """
    came = stream.metric_incoming_records(period=ODD_PERIOD, statistic="Sum")
    return cloudwatch.AnomalyDetectionAlarm(
        stack,
        f"alarm-odd-{carrier.value}",
        alarm_description=f"{carrier.value} brings far less or more than is usual at this hour",
        metric=cloudwatch.MathExpression(
            expression="FILL(came, 0)", using_metrics={"came": came}, period=ODD_PERIOD, label=f"records of {carrier}"
        ),
        std_devs=ODD_DEVIATIONS,
        comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_LOWER_OR_GREATER_THAN_UPPER_THRESHOLD,
        evaluation_periods=3,
    )


def _refusals(stack: Stack, table: Table, *, prefix: str) -> Iterator[cloudwatch.Alarm]:
    """Yield the alarms of a table that refuses: reads, writes, writes of its index, which hold up those of the table.

    Source: DynamoDB developer guide, metrics and dimensions: ReadThrottleEvents, WriteThrottleEvents.
    """
    named = {"TableName": prefix + table.value}
    kinds = {"reads": {}, "writes": {}, "index-writes": {"GlobalSecondaryIndexName": INDEX}}
    for kind, more in kinds.items():
        metric = cloudwatch.Metric(
            namespace="AWS/DynamoDB",
            metric_name="ReadThrottleEvents" if kind == "reads" else "WriteThrottleEvents",
            dimensions_map={**named, **more},
            period=_PERIOD,
            statistic="Sum",
        )
        said = f"{kind} of {table.value} beyond its capacity: deploy with more --for-sites"
        yield _lasting(metric, stack, f"alarm-refused-{table.value}-{kind}", said)


def _lasting(metric: cloudwatch.Metric, stack: Stack, name: str, said: str) -> cloudwatch.Alarm:
    """Return an alarm of what happens in two of three periods: once may be a hiccup that is tried again."""
    return metric.create_alarm(
        stack,
        name,
        alarm_description=said,
        threshold=1,
        evaluation_periods=3,
        datapoints_to_alarm=2,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )


def _dashboard(stack: Stack, held: Data, functions: Mapping[str, lambda_.Function], *, prefix: str) -> None:
    """Add one page: how the functions do, how late their streams are, and each figure that they count."""
    board = cloudwatch.Dashboard(stack, "dashboard", dashboard_name=f"{prefix}market")
    made = functions.values()
    lateness = [
        stream.metric_get_records_iterator_age_milliseconds(statistic="Maximum") for stream in held.streams.values()
    ]
    rows: list[tuple[str, list[cloudwatch.IMetric]]] = [
        ("calls", [each.metric_invocations() for each in made]),
        ("failures", [each.metric_errors() for each in made]),
        ("duration, p99", [each.metric_duration(statistic="p99") for each in made]),
        ("records wait, ms", list(lateness)),
        *((figure.says, [_figure(figure)]) for figure in FIGURES),
    ]
    widgets = [cloudwatch.GraphWidget(title=title, left=metrics, width=8) for title, metrics in rows]
    for first in range(0, len(widgets), _WIDGETS_A_ROW):
        board.add_widgets(*widgets[first : first + _WIDGETS_A_ROW])


def _figure(figure: Figure) -> cloudwatch.IMetric:
    """Return a figure of every function that counts it."""
    search = f"SEARCH('{{{NAMESPACE},{DIMENSION}}} MetricName=\"{figure.name}\"', 'Sum', 300)"
    return cloudwatch.MathExpression(expression=search, using_metrics={}, label="")
