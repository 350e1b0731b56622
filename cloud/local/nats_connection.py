"""The connection to NATS JetStream: its address, how it is opened, and what a call to it may come to.

Source: NATS documentation, "JetStream: Streams" and "Key/Value Store"; "Message deduplication" (``Nats-Msg-Id``).
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from cloud.errors import SetupError, StoreError

log = logging.getLogger(__name__)

SHARDS: Final = 8
SHARDS_MAX: Final = 256
DUPLICATES_S: Final = 120.0
ANSWER_TIMEOUT_S: Final = 5.0
OPEN_TIMEOUT_S: Final = 15.0
_CONNECT_TIMEOUT_S: Final = 5
# A cut network says nothing: after two of these without an answer another server is looked for.
PING_S: Final = 2
_PINGS_MAX: Final = 2
_SHARDS_KEY: Final = "sitewatt-shards"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NatsAddress:
    """Where the streams are: ``nats://HOST:PORT[,HOST:PORT…]/NAME[?shards=8&replicas=3&creds=FILE&ca=FILE]``.

    ``NAME`` (by default ``sitewatt``) stands before everything there. ``shards`` and ``replicas`` count when the
    streams are made; afterwards another number of shards is refused. ``creds`` is a NATS credentials file, ``ca`` the
    authority that the servers' certificates are held against (``tls://`` without it: the machine's).
    """

    servers: tuple[str, ...]
    name: str
    shards: int | None
    replicas: int
    creds: Path | None
    ca: Path | None

    @classmethod
    def parse(cls, url: str) -> "NatsAddress":
        """Read an address.

        Raises:
            SetupError: It is none; the message names the part, never the credentials.
        """
        parts = urlsplit(url)
        hosts = [host for host in parts.netloc.split(",") if host]
        if parts.scheme not in ("nats", "tls") or not hosts:
            raise SetupError("the streams' address must be nats://HOST:PORT/NAME; nothing connected")
        if "@" in parts.netloc:
            raise SetupError("the streams' address holds a password; name a credentials file, ?creds=FILE, instead")
        name = parts.path.strip("/") or "sitewatt"
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
            raise SetupError(f"the streams' name is {name!r}, must be up to 64 letters, digits, - and _")
        options = dict(parse_qsl(parts.query))
        if unknown := sorted(set(options) - {"shards", "replicas", "creds", "ca"}):
            raise SetupError(f"the streams' address knows no {unknown[0]!r}; it takes shards, replicas, creds and ca")
        return cls(
            servers=tuple(f"{parts.scheme}://{host}" for host in hosts),
            name=name,
            shards=_number(options, "shards", SHARDS_MAX),
            replicas=_number(options, "replicas", 5) or 1,
            creds=Path(options["creds"]) if "creds" in options else None,
            ca=Path(options["ca"]) if "ca" in options else None,
        )


def _number(options: Mapping[str, str], name: str, last: int) -> int | None:
    if name not in options:
        return None
    text = options[name]
    if not text.isdecimal() or not 1 <= int(text) <= last:
        raise SetupError(f"{name} of the streams is {text!r}, must be 1 to {last}")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A client that has reached a server, the bucket of its values, and how many shards the streams have."""

    client: Client
    state: KeyValue
    shards: int


async def connect(address: NatsAddress) -> Connection:
    """Connect, and make the streams where they are missing.

    Raises:
        SetupError: The streams were made with another number of shards.
        StoreError: No server answers, or JetStream refuses.
    """
    client = Client()
    try:
        # The client itself looks for a server for ever, at the first connection too.
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await client.connect(
                servers=list(address.servers),
                name="sitewatt",
                user_credentials=str(address.creds) if address.creds else None,
                tls=ssl.create_default_context(cafile=address.ca) if address.ca else None,
                connect_timeout=_CONNECT_TIMEOUT_S,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                ping_interval=PING_S,
                max_outstanding_pings=_PINGS_MAX,
                error_cb=_said,
            )
    except (NatsError, OSError, TimeoutError) as error:
        raise StoreError(f"streams at {', '.join(address.servers)} cannot be reached: {_text(error)}") from error
    try:
        shards = await guarded(_make_streams(client, address))
        state = await guarded(_make_state(client, address))
    except BaseException:
        await client.close()
        raise
    return Connection(client=client, state=state, shards=shards)


class MissingError(StoreError):
    """There is no such value."""


class OvertakenError(StoreError):
    """Somebody else wrote the value first."""


async def guarded(call: Awaitable[T]) -> T:
    """Make a call to the server.

    The client, and ``asyncio.wait_for`` below it before Python 3.12, may swallow a cancellation that comes as a call
    ends. Nobody asks the tasks of a group a second time, so it is told here: else work that was to stop would go on,
    and whoever waits for its end, such as the leases, would wait for ever.

    Raises:
        StoreError: It failed, or nobody answered.
    """
    task = asyncio.current_task()
    asked = task.cancelling() if task is not None else 0
    try:
        return await call
    except KeyNotFoundError as error:
        raise MissingError("no such value") from error
    except KeyWrongLastSequenceError as error:
        raise OvertakenError("another writer was first") from error
    except (NatsError, OSError, TimeoutError) as error:
        raise StoreError(f"streams: {_text(error)}; try again") from error
    finally:
        if task is not None and task.cancelling() > asked:
            raise asyncio.CancelledError


async def _make_streams(client: Client, address: NatsAddress) -> int:
    """Make the streams that are missing, and return how many shards there are."""
    js = client.jetstream(timeout=ANSWER_TIMEOUT_S)
    try:
        first = await js.stream_info(f"{address.name}-0")
        made = int((first.config.metadata or {}).get(_SHARDS_KEY, 0))
    except NotFoundError:
        made = 0
    if made and address.shards not in (None, made):
        raise SetupError(
            f"streams {address.name} have {made} shards, not {address.shards}; records of a key would change their"
            " place: take another name, or leave the number out"
        )
    shards = made or address.shards or SHARDS
    for shard in range(shards):
        try:
            await js.stream_info(f"{address.name}-{shard}")
            continue
        except NotFoundError:
            pass
        await js.add_stream(
            StreamConfig(
                name=f"{address.name}-{shard}",
                subjects=[f"{address.name}.{shard}.*"],
                storage=StorageType.FILE,
                num_replicas=address.replicas,
                duplicate_window=DUPLICATES_S,
                allow_direct=True,
                # Names are made of numbers, so those of streams that are made anew must lie above the ones of before.
                first_seq=time.time_ns() // 1000,
                metadata={_SHARDS_KEY: str(shards)},
            )
        )
    return shards


async def _make_state(client: Client, address: NatsAddress) -> KeyValue:
    js = client.jetstream(timeout=ANSWER_TIMEOUT_S)
    bucket = f"{address.name}-state"
    try:
        return await js.key_value(bucket)
    except (BucketNotFoundError, NotFoundError):
        return await js.create_key_value(bucket=bucket, history=1, replicas=address.replicas)


async def _said(error: Exception) -> None:
    log.warning("streams' server", extra={"error": _text(error)})


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
