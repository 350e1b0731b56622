"""Where a private cloud keeps what it keeps: in files of its folder, or in the servers that its settings name."""

from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.local.sqlite_streams import SqliteStreams
from cloud.local.streams import Streams
from cloud.stores.setup import Stores, open_database, open_files

TABLES_FILE: Final = "tables.db"
STREAMS_FILE: Final = "streams.db"
LAKE_FOLDER: Final = "lake"
STREAM_SCHEMES: Final = ("nats://", "tls://")


def open_stores(folder: Path, tables: str | None) -> Stores:
    """Open tables and lake.

    Raises:
        SetupError: A client that is needed is not installed.
        StoreError: They cannot be opened or reached.
    """
    if tables is None:
        return open_files(folder / TABLES_FILE)
    return open_database(tables, lake=folder / LAKE_FOLDER)


async def open_streams(folder: Path, streams: str | None) -> Streams:
    """Open the streams.

    Raises:
        SetupError: The address cannot be used, or a client that is needed is not installed.
        StoreError: They cannot be opened or reached.
    """
    if streams is None:
        return SqliteStreams.open(folder / STREAMS_FILE)
    try:
        from cloud.local.nats_streams import NatsStreams
    except ImportError as error:
        raise SetupError(f"streams in NATS need sitewatt[cluster]: {error}") from error
    return await NatsStreams.open(streams)
