"""AWS clients on moto, in process; only for a few hundred items."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from moto import mock_aws

from cloud.stores.dynamodb import DynamoTables
from cloud.stores.s3 import S3Lake
from cloud.stores.tables import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

from cloud.infra.tables import create_request

REGION: Final = "eu-central-1"
PREFIX = "test-"
BUCKET = "test-lake"


@contextmanager
def aws() -> Iterator[None]:
    """An empty account for the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        with mock_aws():
            yield


def create_tables(client: "DynamoDBClient", *, prefix: str = PREFIX) -> None:
    """Make every table as the stack defines it."""
    for table in Table:
        client.create_table(**create_request(table, prefix=prefix))


@contextmanager
def moto_tables() -> Iterator[DynamoTables]:
    """Empty tables for the block."""
    with aws():
        client = boto3.client("dynamodb")
        create_tables(client)
        yield DynamoTables(client, prefix=PREFIX)


@contextmanager
def moto_lake() -> Iterator[S3Lake]:
    """An empty lake for the block."""
    with aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield S3Lake(client, bucket=BUCKET, prefix="raw/")


@contextmanager
def aws_account() -> Iterator[DynamoTables]:
    """Empty tables and an empty lake for the block, for functions that make their own clients."""
    with aws():
        client = boto3.client("dynamodb")
        create_tables(client)
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield DynamoTables(client, prefix=PREFIX)
