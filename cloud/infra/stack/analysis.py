"""Where analysts ask the lake: a Glue table over its Parquet files, and an Athena workgroup with a bound on each query.

The columns are those of ``RawSample``. Partitions are worked out from the names of folders (zone and day), so no
crawler runs and a new day is there at once. Nothing costs anything until somebody asks: 5 USD for a terabyte read.

Source: Amazon Athena user guide, "Use partition projection", "Supported types for partition projection" (a projected
type ``injected`` needs an equality in the query); "Per-query data usage control".
"""

from dataclasses import fields
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

from aws_cdk import Aws, CfnOutput, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue

from cloud.infra.stack.data import QUERIES_PREFIX, Data
from cloud.stores.lake import LAKE_PREFIX, RawSample, folder_of

TABLE: Final = "telemetry"
QUERY_BYTES_MAX: Final = 20 * 10**9  # What a query may read: ten cents.
_TYPES: Final = {str: "string", int: "bigint", float: "double", datetime: "timestamp"}
_FIRST_DAY: Final = "2025-01-01"


def columns() -> dict[str, str]:
    """Return the columns of a raw sample with their types in Athena."""
    hints = get_type_hints(RawSample)
    return {each.name: _TYPES[_plain(hints[each.name])] for each in fields(RawSample)}


def _plain(hint: Any) -> type:
    """Return a type without its ``None``."""
    kinds: tuple[type, ...] = get_args(hint) or (hint,)
    (kind,) = (each for each in kinds if each is not type(None))
    return kind


def analysis(stack: Stack, held: Data, *, prefix: str) -> None:
    """Add table and workgroup to a stack; who may ask is an account's own matter, no role here may."""
    name = f"{prefix}lake".replace("-", "_")  # A hyphen would have to be quoted in each query.
    database = glue.CfnDatabase(
        stack,
        "lake-database",
        catalog_id=Aws.ACCOUNT_ID,
        database_input=glue.CfnDatabase.DatabaseInputProperty(name=name, description="what the lake holds"),
    )
    bucket = f"s3://{held.lake.bucket_name}/"
    table = glue.CfnTable(
        stack,
        "lake-table",
        catalog_id=Aws.ACCOUNT_ID,
        database_name=name,
        table_input=glue.CfnTable.TableInputProperty(
            name=TABLE,
            description="each sample as its gateway sent it; one that came twice stands twice: site, epoch, seq",
            table_type="EXTERNAL_TABLE",
            partition_keys=[glue.CfnTable.ColumnProperty(name=each, type="string") for each in ("zone", "day")],
            parameters={
                "classification": "parquet",
                "projection.enabled": "true",
                "projection.zone.type": "injected",
                "projection.day.type": "date",
                "projection.day.format": "yyyy-MM-dd",
                "projection.day.range": f"{_FIRST_DAY},NOW",
                "storage.location.template": bucket + folder_of(zone="${zone}", day="${day}"),
            },
            storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                columns=[glue.CfnTable.ColumnProperty(name=name, type=kind) for name, kind in columns().items()],
                location=bucket + LAKE_PREFIX,
                input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                serde_info=glue.CfnTable.SerdeInfoProperty(
                    serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                ),
            ),
        ),
    )
    table.add_resource_dependency(database)
    key = held.lake.encryption_key
    assert key is not None, "the lake has a customer key"
    athena.CfnWorkGroup(
        stack,
        "lake-queries",
        name=f"{prefix}lake",
        recursive_delete_option=True,
        work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=True,
            publish_cloud_watch_metrics_enabled=False,
            bytes_scanned_cutoff_per_query=QUERY_BYTES_MAX,
            result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                output_location=bucket + QUERIES_PREFIX,
                encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                    encryption_option="SSE_KMS", kms_key=key.key_arn
                ),
            ),
        ),
    )
    CfnOutput(stack, "LakeTable", value=f"{name}.{TABLE}")
