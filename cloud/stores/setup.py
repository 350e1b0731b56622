"""Which stores the environment names: the one place that knows the implementations.

``SITEWATT_STORE``: ``sqlite:///PATH``, ``postgresql://…`` or ``dynamodb``. With the first two ``SITEWATT_LAKE`` is a
folder or ``s3://BUCKET/PREFIX`` (by default ``lake`` beside the file; PostgreSQL has no default); with the last
``SITEWATT_TABLE_PREFIX`` and ``SITEWATT_LAKE_BUCKET`` name tables and bucket.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from cloud.errors import SetupError
from cloud.stores.endpoint import checked_endpoint
from cloud.stores.lake import Lake
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Tables

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = "postgresql://"
DYNAMODB: Final = "dynamodb"
S3: Final = "s3://"


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
        return open_files(Path(store.removeprefix(SQLITE)), lake=environ.get("SITEWATT_LAKE") or None)
    if store.startswith(POSTGRESQL):
        return open_database(store, lake=_setting(environ, "SITEWATT_LAKE"))
    if store == DYNAMODB:
        return _open_aws(
            prefix=_setting(environ, "SITEWATT_TABLE_PREFIX"), bucket=_setting(environ, "SITEWATT_LAKE_BUCKET")
        )
    raise SetupError(
        f"SITEWATT_STORE is {store.partition('@')[0]!r}, must be {SQLITE}PATH, {POSTGRESQL}HOST/DATABASE or {DYNAMODB};"
        " no store opened"
    )


def open_files(path: Path, *, lake: str | None = None) -> Stores:
    """Open a SQLite file and a lake (see ``open_lake``), creating file and folder where they are missing.

    Raises:
        SetupError: The lake's address cannot be used.
        StoreError: The file cannot be opened.
    """
    return Stores(tables=SqliteTables.open(path), lake=open_lake(lake or str(path.parent / "lake")))


def open_database(url: str, *, lake: str) -> Stores:
    """Connect to a PostgreSQL database and open a lake, making tables and folder where they are missing.

    Raises:
        SetupError: Its client is not installed, or the lake's address cannot be used.
        StoreError: The database cannot be reached.
    """
    return Stores(tables=open_postgres(url), lake=open_lake(lake))


def open_lake(place: str) -> Lake:
    """Open a lake in a folder, or in a bucket of S3 or of a server that speaks its protocol.

    Args:
        place: A folder's path, or ``s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME]``; who may write is told as boto3
            finds it (environment, profile or role).

    Raises:
        SetupError: The address cannot be used, or boto3 is not installed.
    """
    from cloud.stores.parquet import FolderLake

    if not place.startswith(S3):
        return FolderLake(Path(place))
    parts = urlsplit(place)
    options = dict(parse_qsl(parts.query))
    if not parts.netloc or "@" in parts.netloc or (unknown := sorted(set(options) - {"endpoint", "region"})):
        what = f"knows no {unknown[0]!r}" if parts.netloc and "@" not in parts.netloc else "names no bucket"
        raise SetupError(f"the lake's address {what}; it is s3://BUCKET/PREFIX?endpoint=URL&region=NAME")
    try:
        import boto3

        from cloud.stores.s3 import S3Lake
    except ImportError as error:
        raise SetupError(f"a lake in a bucket needs sitewatt[cloud]: {error}") from error
    prefix = f"{folder}/" if (folder := parts.path.strip("/")) else ""
    endpoint = checked_endpoint(options.get("endpoint"), of="the lake")
    client = boto3.client("s3", endpoint_url=endpoint, region_name=options.get("region", "us-east-1"))
    return S3Lake(client, bucket=parts.netloc, prefix=prefix)


def open_postgres(url: str, *, read_only: bool = False) -> Tables:
    """Connect to the tables of a PostgreSQL database; to read only, they must be there.

    Raises:
        SetupError: Its client is not installed.
        StoreError: The database cannot be reached.
    """
    try:
        from cloud.stores.postgres import PostgresTables
    except ImportError as error:
        raise SetupError(f"tables in PostgreSQL need sitewatt[cluster]: {error}") from error
    return PostgresTables.open(url, read_only=read_only)


def open_dynamodb(url: str) -> Tables:
    """Return the tables of a stack: ``dynamodb://NAME[?region=REGION&endpoint=URL]``; its name is their prefix.

    Raises:
        SetupError: The address cannot be used, or boto3 is not installed.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if not parts.netloc or "@" in url or parts.path.strip("/") or set(options) - {"region", "endpoint"}:
        raise SetupError("tables in DynamoDB are dynamodb://NAME?region=REGION&endpoint=URL; nothing opened")
    try:
        import boto3

        from cloud.stores.dynamodb import DynamoTables
    except ImportError as error:
        raise SetupError(f"tables in DynamoDB need sitewatt[cloud]: {error}") from error
    endpoint = checked_endpoint(options.get("endpoint"), of="the tables")
    client = boto3.client("dynamodb", region_name=options.get("region"), endpoint_url=endpoint)
    return DynamoTables(client, prefix=f"{parts.netloc}-")


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
