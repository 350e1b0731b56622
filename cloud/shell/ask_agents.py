"""A question in plain words to the agents: with the model that is configured, kept with its transcript."""

import hashlib
import json
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from cloud.agents.office import Office
from cloud.agents.reasoning import SYSTEM, Bounds, Conversation, Message, Model, ModelTurn, converse
from cloud.agents.rights import Caller
from cloud.stores import keys
from cloud.stores.tables import Put, Tables

TRANSCRIPT_CHARS_MAX: Final = 200_000


def ask(
    question: str,
    *,
    model: Model,
    caller: Caller,
    office: Office,
    tables: Tables,
    bounds: Bounds | None = None,
    site_values: bool = False,
    applies: frozenset[str] = frozenset(),
) -> Conversation:
    """Return how a model answered a question; it is kept either way.

    Raises:
        StoreError: The tables failed.
    """
    record = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
    talk = converse(
        model,
        question,
        caller=caller,
        office=office,
        monotonic=time.monotonic,
        bounds=bounds,
        site_values=site_values,
        applies=applies,
        key=record,
    )
    at = datetime.now(UTC)
    transcript = json.dumps([_plain(message) for message in talk.messages], ensure_ascii=False)
    body = {
        "caller": caller.name,
        "model": talk.model,
        "prompt_sha256": hashlib.sha256(SYSTEM.encode()).hexdigest(),
        "question": question,
        "answer": talk.answer,
        "stop": str(talk.stop),
        "detail": talk.detail,
        "turns": talk.turns,
        "tokens": talk.tokens,
        "money_uct": talk.money_uct,
        "proposals": [asdict(proposal) for proposal in talk.proposals],
        "transcript": transcript[:TRANSCRIPT_CHARS_MAX],
    }
    tables.put(Put(key=keys.conversation(at, record), body=body))
    return talk


def _plain(message: Message) -> object:
    match message:
        case str():
            return {"user": message}
        case ModelTurn():
            return {"model": asdict(message)}
        case results:
            return {"tools": [asdict(result) for result in results]}
