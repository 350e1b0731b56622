"""What the stack remembers: keys, tables, the lake, streams, the signing key."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sqs as sqs

from cloud.infra.rules import Carrier
from cloud.infra.tables import LAKE, TABLES, Capacity, TableDefinition
from cloud.stores.lake import LAKE_PREFIX
from cloud.stores.tables import INDEX, Table

QUERIES_PREFIX, QUERIES_KEPT_D = "queries/", 7  # Of the lake's bucket: what was asked may be asked again.
KEPT_IN_STREAM = Duration.hours(24)  # As long as a function may be broken before something is lost.
# How far capacity sinks where fewer sites take part than it was reckoned for, and at which use of it.
LEAST_CAPACITY_SHARE, USED_PERCENT = 4, 70
KEPT_ASIDE = Duration.days(14)  # Source: Amazon SQS quotas, message retention.


@dataclass(frozen=True, kw_only=True)
class Data:
    """The resources, by the names of their definitions."""

    keys: dict[str, kms.Key]
    tables: dict[Table, dynamodb.TableV2]
    lake: s3.Bucket
    streams: dict[Carrier, kinesis.Stream]
    signing_key: secrets.Secret
    aside: sqs.Queue


def data(stack: Stack, *, prefix: str, shards: Mapping[Carrier, int], capacity: Mapping[Table, Capacity]) -> Data:
    """Add everything that is remembered to a stack.

    Args:
        stack: Where.
        prefix: Stands before the name of each resource.
        shards: Of each carrier; one where it is not named.
        capacity: What is held ready for a table; one that is not named is on demand.
    """
    classes = sorted({definition.data_class for definition in TABLES} | {"secrets"})
    keys = {
        name: kms.Key(
            stack, f"{name}-key", description=f"sitewatt {name}", enable_key_rotation=True, removal_policy=_KEPT
        )
        for name in classes
    }
    return Data(
        keys=keys,
        tables={
            each.table: _table(stack, each, keys[each.data_class], capacity.get(each.table), prefix=prefix)
            for each in TABLES
        },
        lake=_lake(stack, keys["telemetry"]),
        streams={
            carrier: _stream(stack, carrier, keys["telemetry"], prefix=prefix, shards=shards.get(carrier, 1))
            for carrier in Carrier
        },
        signing_key=secrets.Secret(
            stack,
            "signing-key",
            description="The key that commands are signed with (Ed25519, PEM); put by sitewatt cloud register",
            encryption_key=keys["secrets"],
            removal_policy=_KEPT,
        ),
        aside=sqs.Queue(
            stack,
            "aside",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=keys["telemetry"],
            enforce_ssl=True,
            retention_period=KEPT_ASIDE,
        ),
    )


_KEPT = RemovalPolicy.RETAIN


def _table(
    stack: Stack, definition: TableDefinition, key: kms.Key, capacity: Capacity | None, *, prefix: str
) -> dynamodb.TableV2:
    table = dynamodb.TableV2(
        stack,
        f"table-{definition.table.value}",
        table_name=prefix + definition.table.value,
        partition_key=_text("pk"),
        sort_key=_text("sk"),
        billing=dynamodb.Billing.on_demand() if capacity is None else _billing(capacity),
        encryption=dynamodb.TableEncryptionV2.customer_managed_key(key),
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=definition.recovery
        ),
        deletion_protection=definition.protected,
        removal_policy=_KEPT if definition.protected else RemovalPolicy.DESTROY,
        time_to_live_attribute="expires_s" if definition.expires else None,
        dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if definition.stream else None,
    )
    table.add_global_secondary_index(
        index_name=INDEX,
        partition_key=_text("gpk"),
        sort_key=_text("gsk"),
        write_capacity=None if capacity is None else _up_to(capacity.index_writes),
        read_capacity=None if capacity is None else _up_to(capacity.index_reads),
    )
    return table


def _billing(capacity: Capacity) -> dynamodb.Billing:
    return dynamodb.Billing.provisioned(read_capacity=_up_to(capacity.reads), write_capacity=_up_to(capacity.writes))


def _up_to(units: int) -> dynamodb.Capacity:
    """Return a capacity that sinks where it is little used, and never grows beyond what the bill says.

    A clearing uses several times the average for a minute or two: with room above, the scaling would follow it up and,
    as the next one comes a quarter of an hour later, never down again.
    """
    return dynamodb.Capacity.autoscaled(
        min_capacity=max(1, units // LEAST_CAPACITY_SHARE),
        max_capacity=units,
        seed_capacity=units,
        target_utilization_percent=USED_PERCENT,
    )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _lake(stack: Stack, key: kms.Key) -> s3.Bucket:
    """Return the bucket of raw samples, beside the one that keeps who read it."""
    log = s3.Bucket(
        stack,
        "lake-access-log",
        encryption=s3.BucketEncryption.S3_MANAGED,  # Source: S3 guide, access logging: no customer key at its target.
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(90))],
        removal_policy=_KEPT,
    )
    return s3.Bucket(
        stack,
        "lake",
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        bucket_key_enabled=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        versioned=True,
        server_access_logs_bucket=log,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="telemetry",
                prefix=LAKE_PREFIX,
                transitions=[
                    s3.Transition(
                        storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                        transition_after=Duration.days(LAKE.cold_after_d),
                    )
                ],
                expiration=Duration.days(LAKE.forget_after_d),
                noncurrent_version_expiration=Duration.days(LAKE.cold_after_d),
            ),
            s3.LifecycleRule(
                id="queries",
                prefix=QUERIES_PREFIX,
                expiration=Duration.days(QUERIES_KEPT_D),
                noncurrent_version_expiration=Duration.days(QUERIES_KEPT_D),
            ),
        ],
        removal_policy=_KEPT,
    )


def _stream(stack: Stack, carrier: Carrier, key: kms.Key, *, prefix: str, shards: int) -> kinesis.Stream:
    return kinesis.Stream(
        stack,
        f"stream-{carrier.value}",
        stream_name=prefix + carrier.value,
        stream_mode=kinesis.StreamMode.PROVISIONED,
        shard_count=shards,
        retention_period=KEPT_IN_STREAM,
        encryption=kinesis.StreamEncryption.KMS,
        encryption_key=key,
    )
