"""The operator's way to the broker: sends one signed command and hears the answers."""

import asyncio
import base64
import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.control import AckStage, Action, Command, CommandAck, key_id
from contracts.topics import Down, Up, parse, site_topic
from contracts.wire import WireError
from edge.errors import LinkError
from edge.links.link import Ack, Link, LinkState
from edge.links.making import make_link
from edge.links.settings import LinkSettings
from sitewatt.operator.keys import public_key

_LOOK_S = 0.02
# How far each stage is; the awaited one is reached by every later one.
RANK = {AckStage.ACCEPTED: 1, AckStage.APPLIED: 2, AckStage.EFFECTIVE: 3, AckStage.COMPLETED: 4}
_ENDED = frozenset({AckStage.REJECTED, AckStage.EXPIRED, AckStage.RELEASED, AckStage.SUPERSEDED})


class NoAnswer(Exception):
    """The broker or the site did not answer in time."""


class NotSent(NoAnswer):
    """The broker was not reached, or does not let us in: nothing left this machine."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command went as far as it was awaited: the answers in order, and whether the awaited stage came."""

    answers: tuple[CommandAck, ...]
    reached: bool


def signed(
    action: Action,
    *,
    site: str,
    issuer: str,
    seq: int,
    now: datetime,
    lasts: timedelta,
    key: Ed25519PrivateKey,
    event_id: str | None = None,
) -> Command:
    """Return a command with its signature, ready to send."""
    command = Command(
        command_id=f"{issuer[:40]}-{uuid.uuid4().hex[:12]}",
        site=site,
        issuer=issuer,
        seq=seq,
        issued_at=now,
        expires_at=now + lasts,
        action=action,
        event_id=event_id,
    )
    signature = base64.b64encode(key.sign(command.signing_bytes())).decode()
    public = base64.b64decode(public_key(key))
    return command.model_copy(update={"signature": signature, "key_id": key_id(public)})


@contextlib.asynccontextmanager
async def open_link(settings: LinkSettings, topics: list[str], *, timeout_s: float) -> AsyncIterator[Link]:
    """Connect and subscribe; the link ends with the block.

    Raises:
        NotSent: The broker did not let us in, or refused a topic, in time.
    """
    link = make_link(settings, client_id=f"operator-{secrets.token_hex(6)}")
    link.subscribe(topics)
    running = asyncio.create_task(link.run(), name="link")
    try:
        await _subscribed(link, topics, running, timeout_s=timeout_s)
        yield link
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def send(
    settings: LinkSettings,
    command: Command,
    *,
    zone: str,
    awaited: AckStage | None,
    timeout_s: float,
    sent: Callable[[], None],
    heard: Callable[[CommandAck], None],
) -> Outcome:
    """Publish a command and wait until it came as far as awaited, or can come no further.

    Args:
        awaited: Nothing is awaited but the broker's acknowledgement where it is ``None``.
        timeout_s: Real seconds for each: the connection, and the awaited stage.
        sent: Told once the broker has the command.
        heard: Told of each answer of the site, also to other commands.

    Raises:
        NotSent: It did not leave this machine.
        NoAnswer: The broker did not say that it has it, or the awaited stage did not come in time.
    """
    acks = site_topic(zone=zone, site=command.site, channel=Up.ACKS)
    async with open_link(settings, [acks] if awaited else [], timeout_s=timeout_s) as link:
        try:
            async with asyncio.timeout(timeout_s):
                topic = site_topic(zone=zone, site=command.site, channel=Down.COMMANDS)
                taken = await link.publish(topic, command.encode())
        except (LinkError, TimeoutError) as error:
            raise NoAnswer(f"{settings.url} did not take the command: {error or 'no acknowledgement'}") from error
        if taken is Ack.REFUSED:
            raise NotSent(f"the broker does not let this client publish to {topic}")
        sent()
        if awaited is None:
            return Outcome(answers=(), reached=True)
        return await _awaited(link, command.command_id, awaited, timeout_s=timeout_s, heard=heard)


async def answers(link: Link) -> AsyncIterator[CommandAck]:
    """Yield every answer that arrives, without end; what cannot be read is passed over."""
    async for message in link.messages():
        topic = parse(message.topic)
        if topic is not None and topic.channel is Up.ACKS:
            with contextlib.suppress(WireError):
                yield CommandAck.decode(message.payload)


async def _awaited(
    link: Link, command_id: str, awaited: AckStage, *, timeout_s: float, heard: Callable[[CommandAck], None]
) -> Outcome:
    found: list[CommandAck] = []
    try:
        async with asyncio.timeout(timeout_s):
            async for ack in answers(link):
                heard(ack)
                if ack.command_id != command_id:
                    continue
                found.append(ack)
                if RANK.get(ack.stage, 0) >= RANK[awaited]:
                    return Outcome(answers=tuple(found), reached=True)
                # Ineffective with a reason is not even applied.
                without_effect = ack.stage is AckStage.INEFFECTIVE and (
                    ack.reason is not None or RANK[awaited] >= RANK[AckStage.EFFECTIVE]
                )
                if ack.stage in _ENDED or without_effect:
                    return Outcome(answers=tuple(found), reached=False)
    except TimeoutError as error:
        so_far = f"it came as far as {found[-1].stage}" if found else "the site did not answer"
        raise NoAnswer(f"{command_id} was not {awaited} within {timeout_s:g} s: {so_far}") from error
    raise NoAnswer(f"{command_id}: the link ended")


async def _subscribed(link: Link, topics: list[str], running: "asyncio.Task[None]", *, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not running.done():
                status = link.status()
                if status.refused:
                    topic, reason = next(iter(status.refused.items()))
                    raise NotSent(f"the broker refuses {topic}: {reason}")
                if status.state is LinkState.CONNECTED and set(topics) <= status.subscribed:
                    return
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        why = link.status().last_error or "no connection"
        raise NotSent(f"the broker was not reached within {timeout_s:g} s: {why}") from error
    running.result()
