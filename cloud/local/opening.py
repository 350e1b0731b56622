"""Where a private cloud keeps what it keeps: in files of its folder, or in the servers that its settings name.

A cloud whose stores are in servers leaves their addresses, which hold no password, in ``stores.json`` of its folder, so
that whoever is given the folder finds them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cloud.errors import SetupError, StoreError
from cloud.local.sqlite_streams import SqliteStreams
from cloud.local.streams import Streams
from cloud.stores.private_files import private_folder, write_private
from cloud.stores.setup import DYNAMODB, Stores, open_database, open_dynamodb, open_files, open_postgres
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Tables
from contracts.reasons import reason_of

TABLES_FILE: Final = "tables.db"
STREAMS_FILE: Final = "streams.db"
STORES_FILE: Final = "stores.json"
LAKE_FOLDER: Final = "lake"
STREAM_SCHEMES: Final = ("nats://", "tls://", "kinesis://")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The addresses of what is kept in servers; ``None``: in a file of the cloud's folder."""

    tables: str | None = None
    streams: str | None = None

    @property
    def named(self) -> list[str]:
        """Return what is kept in servers, for a sentence."""
        return [name for name, url in vars(self).items() if url is not None]


IN_FILES: Final = Servers()


def remember(folder: Path, servers: Servers) -> None:
    """Leave the addresses in the folder; without any, none is left there.

    Raises:
        StoreError: The folder cannot be written.
    """
    path = folder / STORES_FILE
    try:
        private_folder(folder)
        if servers.named:
            write_private(path, json.dumps(vars(servers)).encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {reason_of(error)}") from error


def servers_of(folder: Path) -> Servers:
    """Return the addresses that a cloud left in its folder.

    Raises:
        StoreError: The file is there and cannot be read.
    """
    path = folder / STORES_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Servers(tables=told["tables"], streams=told["streams"])
    except (FileNotFoundError, NotADirectoryError):  # A file, as a journal is, is no cloud of servers either.
        return Servers()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read: {reason_of(error)}") from error


def tables_place(path: Path) -> Path | None:
    """Return where a path's tables are: a file of tables, or one of addresses, of the path or of a cloud's in it."""
    if path.suffix == ".db" or path.name == STORES_FILE:
        return path if path.is_file() else None
    for folder in (path, path / "cloud"):
        if servers_of(folder).tables is not None:
            return folder / STORES_FILE
        if (folder / TABLES_FILE).is_file():
            return folder / TABLES_FILE
    return None


def open_tables(place: Path, *, read_only: bool = False) -> Tables:
    """Open the tables of what ``tables_place`` returned.

    Raises:
        SetupError: A client that is needed is not installed.
        StoreError: They cannot be opened or reached.
    """
    url = servers_of(place.parent).tables if place.name == STORES_FILE else None
    if url is not None and url.startswith(f"{DYNAMODB}://"):
        return open_dynamodb(url)  # A stack's, which functions write: whoever is given the folder reads them.
    return SqliteTables.open(place, read_only=read_only) if url is None else open_postgres(url, read_only=read_only)


def open_stores(folder: Path, servers: Servers, *, lake: str | None = None) -> Stores:
    """Open tables and lake; a lake that nothing is said of is a folder in the cloud's.

    Raises:
        SetupError: A client that is needed is not installed, or the lake's address cannot be used.
        StoreError: They cannot be opened or reached.
    """
    if servers.tables is None:
        return open_files(folder / TABLES_FILE, lake=lake)
    return open_database(servers.tables, lake=lake or str(folder / LAKE_FOLDER))


async def open_streams(folder: Path, servers: Servers, *, read_only: bool = False) -> Streams:
    """Open the streams; ``read_only`` makes no file where there is none.

    Raises:
        SetupError: The address cannot be used, or a client that is needed is not installed.
        StoreError: They cannot be opened or reached.
    """
    if servers.streams is None:
        return SqliteStreams.open(folder / STREAMS_FILE, read_only=read_only)
    if servers.streams.startswith("kinesis://"):
        try:
            from cloud.local.kinesis_streams import KinesisStreams
        except ImportError as error:
            raise SetupError(f"streams in Kinesis need sitewatt[cloud]: {error}") from error
        return await KinesisStreams.open(servers.streams)
    try:
        from cloud.local.nats_streams import NatsStreams
    except ImportError as error:
        raise SetupError(f"streams in NATS need sitewatt[cluster]: {error}") from error
    return await NatsStreams.open(servers.streams)


def ask_streams(folder: Path, question: Callable[[Streams], Awaitable[T]], *, read_only: bool = True) -> T:
    """Return what the streams of a folder's cloud answer, for who has no event loop, or is in the midst of one.

    Raises:
        SetupError: A client that is needed is not installed.
        StoreError: They cannot be opened or reached, or the question failed.
    """

    async def ask() -> T:
        streams = await open_streams(folder, servers_of(folder), read_only=read_only)
        try:
            return await question(streams)
        finally:
            await streams.close()

    with ThreadPoolExecutor(1, thread_name_prefix="ask streams") as thread:
        return thread.submit(asyncio.run, ask()).result()
