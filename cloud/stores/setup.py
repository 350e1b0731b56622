"""Which stores the environment names: the one place that knows the implementations.

``SITEWATT_STORE``: ``sqlite:///PATH`` or ``dynamodb``. With the former ``SITEWATT_LAKE`` is a folder (by default
``lake`` beside the file); with the latter ``SITEWATT_TABLE_PREFIX`` and ``SITEWATT_LAKE_BUCKET`` name tables and
bucket.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.stores.lake import Lake
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Tables

SQLITE: Final = "sqlite:///"
DYNAMODB: Final = "dynamodb"


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Everything that is remembered."""

    tables: Tables
    lake: Lake


def open_stores(environ: Mapping[str, str]) -> Stores:
    """Open the stores that the environment names.

    Raises:
        SetupError: A setting is missing or unknown.
        StoreError: The file cannot be opened.
    """
    store = _setting(environ, "SITEWATT_STORE")
    if store.startswith(SQLITE):
        return open_files(
            Path(store.removeprefix(SQLITE)), lake=Path(lake) if (lake := environ.get("SITEWATT_LAKE")) else None
        )
    if store == DYNAMODB:
        return _open_aws(
            prefix=_setting(environ, "SITEWATT_TABLE_PREFIX"), bucket=_setting(environ, "SITEWATT_LAKE_BUCKET")
        )
    raise SetupError(f"SITEWATT_STORE is {store!r}, must be {SQLITE}PATH or {DYNAMODB}; no store opened")


def open_files(path: Path, *, lake: Path | None = None) -> Stores:
    """Open a SQLite file and a lake folder, creating them where they are missing.

    Raises:
        StoreError: The file cannot be opened.
    """
    from cloud.stores.parquet import FolderLake

    return Stores(tables=SqliteTables.open(path), lake=FolderLake(lake or path.parent / "lake"))


def _open_aws(*, prefix: str, bucket: str) -> Stores:
    import boto3

    from cloud.stores.dynamodb import DynamoTables
    from cloud.stores.s3 import S3Lake

    return Stores(
        tables=DynamoTables(boto3.client("dynamodb"), prefix=prefix), lake=S3Lake(boto3.client("s3"), bucket=bucket)
    )


def _setting(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise SetupError(f"{name} is not set; no store opened")
    return value
