"""The tables and the lake as the stack defines them, once, as data."""

from dataclasses import dataclass
from typing import Any, Final

from cloud.stores.lake import LAKE_PREFIX
from cloud.stores.tables import INDEX, Table


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The units a second that are held ready for a table and its index, at most; each at least one.

    What is asked for beyond is refused by the service, and the function tries again.
    """

    writes: int
    reads: int
    index_writes: int = 1
    index_reads: int = 1


@dataclass(frozen=True, kw_only=True)
class TableDefinition:
    """One table, encrypted with its data class's key; on demand where no capacity is held ready for it.

    ``recovery`` is point-in-time recovery, ``protected`` protection against deletion, ``expires`` whether items carry a
    time to live, ``stream`` whether changes can be followed.
    """

    table: Table
    data_class: str
    recovery: bool = False
    protected: bool = False
    expires: bool = False
    stream: bool = False


TABLES: Final[tuple[TableDefinition, ...]] = (
    TableDefinition(table=Table.ENERGY_METRICS, data_class="telemetry", recovery=True, expires=True),
    TableDefinition(table=Table.PRODUCER_METRICS, data_class="telemetry", recovery=True, expires=True),
    TableDefinition(table=Table.CONSUMER_METRICS, data_class="telemetry", recovery=True, expires=True),
    TableDefinition(table=Table.GRID_METRICS, data_class="telemetry", recovery=True, protected=True, expires=True),
    TableDefinition(table=Table.FORECAST_DATA, data_class="telemetry", recovery=True, expires=True),
    TableDefinition(table=Table.MARKET_DATA, data_class="market", recovery=True, protected=True, stream=True),
    TableDefinition(table=Table.TRADE_DATA, data_class="market", recovery=True, protected=True),
)


@dataclass(frozen=True, kw_only=True)
class LakeDefinition:
    """The bucket of raw samples: after how many days a file costs less to keep and more to read, and is forgotten."""

    cold_after_d: int
    forget_after_d: int

    def lifecycle_request(self, bucket: str) -> Any:
        """Return the arguments of S3's PutBucketLifecycleConfiguration."""
        rule = {
            "ID": "telemetry",
            "Status": "Enabled",
            "Filter": {"Prefix": LAKE_PREFIX},
            "Transitions": [{"Days": self.cold_after_d, "StorageClass": "GLACIER_IR"}],
            "Expiration": {"Days": self.forget_after_d},
        }
        return {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [rule]}}


LAKE: Final = LakeDefinition(cold_after_d=30, forget_after_d=365)


def create_request(table: Table, *, prefix: str) -> Any:
    """Return the arguments of DynamoDB's CreateTable for a table's keys and index."""
    return {
        "TableName": prefix + table.value,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _schema("pk", "sk"),
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "gpk", "gsk")],
        "GlobalSecondaryIndexes": [
            {"IndexName": INDEX, "KeySchema": _schema("gpk", "gsk"), "Projection": {"ProjectionType": "ALL"}}
        ],
    }


def _schema(pk: str, sk: str) -> list[dict[str, str]]:
    return [{"AttributeName": pk, "KeyType": "HASH"}, {"AttributeName": sk, "KeyType": "RANGE"}]
