"""What AWS asks for, as data: US dollars in us-east-1, each with where it was read.

Prices move: check them for the target Region before a budget is made of them. Frankfurt is about a fifth dearer.

Sources: AWS IoT Core pricing (read in September 2026) and "AWS IoT Core additional metering details": one message is
each started 5 KB of topic, payload and properties; what a device acknowledges is metered as a message, what the service
acknowledges is not; pings of 30 s or slower are free; Basic Ingest has no messaging charge. DynamoDB on-demand pricing
after the cut of November 2024 (read in July 2025); its provisioned capacity and backups, AppConfig, Backup, CloudWatch,
KMS, Kinesis Data Streams, Lambda, PrivateLink, S3 and Secrets Manager: their list prices of 2025, from memory.
"""

from dataclasses import dataclass

READ_IN = "2025-07 to 2026-09"
REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices in US dollars, for a unit or for a million of them."""

    # Source: AWS IoT Core pricing: connectivity, messaging (first billion), rules engine.
    iot_connection_minutes_million: float = 0.08
    iot_messages_million: float = 1.00
    iot_rules_million: float = 0.15
    iot_actions_million: float = 0.15
    # Source: Kinesis Data Streams pricing, provisioned mode: a shard takes 1 MB/s or 1,000 records/s, gives 2 MB/s.
    kinesis_shard_hour: float = 0.015
    kinesis_put_units_million: float = 0.014
    # Source: Lambda pricing, arm64, first tier.
    lambda_requests_million: float = 0.20
    lambda_gb_s: float = 0.0000133334
    # Source: DynamoDB on-demand pricing, standard table class.
    dynamodb_writes_million: float = 0.625
    dynamodb_reads_million: float = 0.125
    dynamodb_gb_month: float = 0.25
    # Source: DynamoDB pricing, provisioned capacity, standard table class: a unit a second, held for an hour.
    dynamodb_write_unit_hour: float = 0.00065
    dynamodb_read_unit_hour: float = 0.00013
    # Source: CloudWatch pricing, a standard-resolution alarm, for a month.
    cloudwatch_alarm_month: float = 0.10
    # Source: CloudWatch pricing, an alarm made of alarms.
    cloudwatch_composite_month: float = 0.50
    # Source: DynamoDB pricing, continuous backups (tables and indexes); AWS Backup pricing, warm storage of DynamoDB.
    dynamodb_recovery_gb_month: float = 0.20
    backup_gb_month: float = 0.10
    # Source: AWS Systems Manager pricing, AppConfig: a request, and a configuration received.
    appconfig_request: float = 0.0000002
    appconfig_received: float = 0.0008
    # Source: KMS and Secrets Manager pricing, for a month.
    kms_key_month: float = 1.00
    secret_month: float = 0.40
    # Source: AWS PrivateLink pricing, an interface endpoint in one zone.
    endpoint_hour: float = 0.01
    # Source: S3 pricing, standard and Glacier Instant Retrieval (its lifecycle transitions by thousand).
    s3_puts_thousand: float = 0.005
    s3_gb_month: float = 0.023
    s3_cold_thousand: float = 0.02
    s3_cold_gb_month: float = 0.004


PRICES = Prices()
