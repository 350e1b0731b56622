"""The functions of the stack, each with a role of its own that holds what its definition grants and nothing else."""

from dataclasses import dataclass

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from cloud.infra.functions import FUNCTIONS, ISSUER, FunctionDefinition
from cloud.infra.rules import CONSUMERS, SCHEDULES, Consumer
from cloud.infra.stack.code import Bundles
from cloud.infra.stack.data import Data
from cloud.infra.stack.features import ACTIONS as READS_FEATURES
from cloud.infra.stack.features import Switchboard, switchboard
from cloud.infra.stack.network import Network
from cloud.stores.features import APPCONFIG
from cloud.stores.lake import LAKE_PREFIX
from cloud.stores.tables import INDEX, Table
from contracts.topics import ROOT, Broadcast, Down
from domain.one_thread import ONE_THREAD

SIGNS_NOTHING = "none"  # As ``cloud.shell.services`` reads it, which stands above this room.
TABLE_READS = ("dynamodb:GetItem", "dynamodb:Query")
TABLE_WRITES = ("dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")


@dataclass(frozen=True, kw_only=True)
class Functions:
    """The functions by the module of their handler, and the alias that is called."""

    functions: dict[str, lambda_.Function]
    live: dict[str, lambda_.Alias]


def functions(stack: Stack, held: Data, bundles: Bundles, inside: Network | None, *, prefix: str) -> Functions:
    """Add the functions to a stack, each behind an alias ``live``, and the switches that one of them reads.

    ``inside`` is the network in which all are that ask nobody on the internet.
    """
    (reader,) = (each for each in FUNCTIONS if each.features)
    switches = switchboard(stack, reader=prefix + reader.name, prefix=prefix)
    made = {
        each.handler: _function(
            stack, each, held, bundles, switches, inside=None if each.asks_internet else inside, prefix=prefix
        )
        for each in FUNCTIONS
    }
    live = {
        handler: lambda_.Alias(stack, f"{function.node.id}-live", alias_name="live", version=function.current_version)
        for handler, function in made.items()
    }
    for number, consumer in enumerate(CONSUMERS):
        _read_stream(stack, consumer, made[consumer.handler], live[consumer.handler], held, number=number)
    return Functions(functions=made, live=live)


def _function(
    stack: Stack,
    definition: FunctionDefinition,
    held: Data,
    bundles: Bundles,
    switches: Switchboard,
    *,
    inside: Network | None,
    prefix: str,
) -> lambda_.Function:
    log_group = logs.LogGroup(
        stack, f"log-{definition.name}", retention=logs.RetentionDays.ONE_MONTH, encryption_key=None
    )
    role = iam.Role(stack, f"role-{definition.name}", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    function = lambda_.Function(
        stack,
        f"function-{definition.name}",
        function_name=prefix + definition.name,
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        handler=definition.entry,
        code=bundles.code(definition.bundle),
        role=role,
        memory_size=definition.memory_mb,
        timeout=Duration.seconds(definition.timeout_s),
        tracing=lambda_.Tracing.ACTIVE,
        log_group=log_group,
        environment=_environment(definition, held, switches, prefix=prefix),
        vpc=inside.vpc if inside else None,
        security_groups=[inside.group] if inside else None,
    )
    if inside is not None:
        inside.let_in(role)
    bundles.publish(function, definition.bundle)
    log_group.grant_write(role)
    _grant(role, definition, held)
    if definition.features:
        role.add_to_policy(iam.PolicyStatement(actions=[*READS_FEATURES], resources=[switches.arn]))
    return function


def _environment(definition: FunctionDefinition, held: Data, switches: Switchboard, *, prefix: str) -> dict[str, str]:
    found = {
        "SITEWATT_STORE": "dynamodb",
        "SITEWATT_TABLE_PREFIX": prefix,
        "SITEWATT_LAKE_BUCKET": held.lake.bucket_name,
        "SITEWATT_ISSUER": ISSUER,
        "POWERTOOLS_SERVICE_NAME": definition.name,
        **ONE_THREAD,
    }
    if definition.signs:
        found["SITEWATT_SIGNING_KEY_SECRET"] = held.signing_key.secret_arn
    else:
        found["SITEWATT_SIGNING"] = SIGNS_NOTHING
    if definition.features:
        found["SITEWATT_FEATURES"] = f"{APPCONFIG}{switches.place}"
    return found


def _grant(role: iam.Role, definition: FunctionDefinition, held: Data) -> None:
    for table in sorted({*definition.reads, *definition.writes}):
        actions = (TABLE_READS if table in definition.reads else ()) + (
            TABLE_WRITES if table in definition.writes else ()
        )
        arn = held.tables[table].table_arn
        resources = [arn, f"{arn}/index/{INDEX}"] if table in definition.reads else [arn]
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
        _key_of(role, held, table, writes=table in definition.writes)
    if definition.speaks:
        topics = sorted({_topic(channel) for channel in definition.speaks})
        speaking = ["iot:Publish"] + (["iot:RetainPublish"] if _retains(definition) else [])
        role.add_to_policy(iam.PolicyStatement(actions=speaking, resources=topics))
    if definition.lake:
        held.lake.grant_put(role, f"{LAKE_PREFIX}*")
    if definition.signs:
        held.signing_key.grant_read(role)


def _key_of(role: iam.Role, held: Data, table: Table, *, writes: bool) -> None:
    key = held.tables[table].encryption_key
    assert key is not None, "every table has its data class's key"
    if writes:
        key.grant_encrypt_decrypt(role)
    else:
        key.grant_decrypt(role)


def _topic(channel: Down | Broadcast) -> str:
    return f"arn:{Aws.PARTITION}:iot:{Aws.REGION}:{Aws.ACCOUNT_ID}:topic/{topic_pattern(channel)}"


def topic_pattern(channel: Down | Broadcast) -> str:
    """Return the pattern of all topics of a channel, over zones and sites."""
    return f"{ROOT}/{'*' if isinstance(channel, Broadcast) else '*/*'}/{channel}"


def _retains(definition: FunctionDefinition) -> bool:
    return any(isinstance(channel, Broadcast) for channel in definition.speaks)


def _read_stream(
    stack: Stack, consumer: Consumer, function: lambda_.Function, live: lambda_.Alias, held: Data, *, number: int
) -> None:
    """Let an alias read its records from a carrier; a record that fails to the end is set aside by its position."""
    carrier = held.streams[consumer.stream.carrier]
    assert function.role is not None, "it was made with one"
    carrier.grant_read(function.role)
    held.aside.grant_send_messages(function.role)
    mapping = lambda_.CfnEventSourceMapping(
        stack,
        f"reads-{number}-{consumer.stream.value}",
        function_name=live.function_arn,
        event_source_arn=carrier.stream_arn,
        destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
            on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=held.aside.queue_arn)
        ),
    )
    for name, value in consumer.event_source.items():
        mapping.add_property_override(name, value)


def scheduled() -> tuple[str, ...]:
    """Return the handlers that schedules call."""
    return tuple(schedule.handler for schedule in SCHEDULES)
