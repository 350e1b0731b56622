"""Delivers letters to other organisations' agents over A2A, each peer's in order, until they are answered or expire."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import anyio.to_thread
import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers import new_text_part
from a2a.types import a2a_pb2
from a2a.utils.errors import A2AError

from cloud.agents.skills import skill
from cloud.doors.a2a_card import JSON
from cloud.doors.card_trust import CardDistrusted, CardPins, trusted_card
from cloud.doors.letters import Letter, Letters
from cloud.doors.peers import Peer
from cloud.errors import CloudError, SetupError, StoreError
from contracts.units import epoch_ms

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
BACKOFF_S_MAX: Final = 60.0
TIMEOUT_S: Final = 30.0
_STATE: Final = a2a_pb2.TaskState


class Undelivered(CloudError):
    """A letter did not reach its agent, or brought no end; waiting may help."""


class Refused(CloudError):
    """The other agent said no; the same letter would be refused again."""


@asynccontextmanager
async def couriers(peers: Sequence[Peer], letters: Letters, pins: CardPins) -> AsyncIterator[None]:
    """Deliver for the block: one courier for each peer, so that one that is gone holds up nobody else's letters."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_run(peer, letters, pins), name=f"courier {peer.name}") for peer in peers]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _run(peer: Peer, letters: Letters, pins: CardPins) -> None:
    while True:
        wait_s = LOOK_S
        try:
            letter = await anyio.to_thread.run_sync(letters.next, peer.name)
            if letter is not None:
                wait_s = await _take(peer, letter, letters, pins)
        except StoreError as error:
            log.warning("letters not read", extra={"peer": peer.name, "error": str(error)})
        await asyncio.sleep(wait_s)


async def _take(peer: Peer, letter: Letter, letters: Letters, pins: CardPins) -> float:
    """Deliver one letter, or give it up, and return how long to wait before the next look."""
    answer, dead = None, None
    if letter.expires_ms <= epoch_ms(datetime.now(UTC)):
        dead = f"not delivered in time: {letter.trouble or 'its turn did not come'}"
    else:
        try:
            answer = await deliver(peer, letter, pins)
        except Refused as error:
            dead = str(error)
        except Undelivered as error:
            trouble = str(error)
            await anyio.to_thread.run_sync(lambda: letters.tried(letter, trouble))
            if letter.attempts == 0:
                log.warning("letter not delivered", extra={"peer": peer.name, "letter": letter.id, "error": trouble})
            pause_s: float = min(BACKOFF_S_MAX, LOOK_S * 2 ** min(letter.attempts, 10))
            return random.uniform(0.5, 1.0) * pause_s
    await anyio.to_thread.run_sync(lambda: letters.settle(letter, answer=answer, reason=dead))
    if dead is None:
        log.info("letter answered", extra={"peer": peer.name, "letter": letter.id, "skill": letter.skill})
    else:
        log.error("letter dead", extra={"peer": peer.name, "letter": letter.id, "reason": dead})
    return 0.0


async def deliver(peer: Peer, letter: Letter, pins: CardPins) -> Mapping[str, object]:
    """Ask a peer's agent what a letter asks and return the answer.

    Raises:
        Undelivered: Nobody answered, its card is not trusted, or the task did not come to an end.
        Refused: The agent rejected it.
    """
    address = f"{peer.url}/agents/{skill(letter.skill).agent}"
    asked = {"skill": letter.skill, "question": letter.question, "idempotency_key": letter.id}
    message = a2a_pb2.Message(
        role=a2a_pb2.Role.ROLE_USER, message_id=letter.id, parts=[new_text_part(json.dumps(asked), media_type=JSON)]
    )
    try:
        headers, trust = peer.headers(), peer.trust()
        async with httpx.AsyncClient(headers=headers, verify=trust, timeout=TIMEOUT_S, follow_redirects=False) as http:
            card = await trusted_card(http, peer, address, pins)
            # The token must not follow a card to wherever it points.
            if not all(interface.url.startswith(f"{peer.url}/") for interface in card.supported_interfaces):
                raise Undelivered(f"{address}: its card names an address beyond {peer.url}; nothing was sent there")
            client = await create_client(card, ClientConfig(httpx_client=http, streaming=False))
            responses = [one async for one in client.send_message(a2a_pb2.SendMessageRequest(message=message))]
    except CardDistrusted as error:
        raise Undelivered(str(error)) from error
    except (A2AError, httpx.HTTPError, ValueError, SetupError) as error:
        raise Undelivered(f"{address}: {type(error).__name__}: {error}") from error
    task = responses[-1].task if responses else a2a_pb2.Task()
    said = task.status.message.parts[0].text if task.status.message.parts else _STATE.Name(task.status.state)
    if task.status.state == _STATE.TASK_STATE_REJECTED:
        raise Refused(said)
    if task.status.state != _STATE.TASK_STATE_COMPLETED or not task.artifacts:
        raise Undelivered(f"{address}: task {task.id or 'none'}: {said}")
    return _answer(task, address)


def _answer(task: a2a_pb2.Task, address: str) -> Mapping[str, object]:
    for part in task.artifacts[0].parts:
        if part.text:
            try:
                read = json.loads(part.text)
            except (ValueError, RecursionError):
                continue
            if isinstance(read, dict):
                return read
    raise Undelivered(f"{address}: task {task.id} has no answer that can be read")
