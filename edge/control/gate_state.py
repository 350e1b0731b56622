"""The gate's memory, and its JSON, so that a restart forgets no answer and no sequence number."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from contracts.control import Action, Refusal
from contracts.units import epoch_ms

# Answers that are remembered.
ANSWERS_MAX = 512
# Levers that the orders of one issuer hold at once: more than the loads of a large site.
RUNNING_PER_ISSUER_MAX = 64

_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was said to one command; ``digest`` is of the command's signed bytes, ``ends_ms`` its expiry.

    ``holds`` names the lever that an accepted order holds (its kind, and the load); ``None`` for what moves no power,
    and once the order was released or a newer one took its place.
    """

    digest: str
    issuer: str
    seq: int
    ends_ms: int
    accepted: bool
    holds: str | None = None
    reason: Refusal | None = None
    detail: str | None = None
    feasible: Action | None = None


@dataclass(frozen=True, kw_only=True)
class GateState:
    """What the gate remembers: the last sequence of each issuer, its answers in order, and a remote lock."""

    last_seq: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    locked_until_ms: int | None = None

    def locked(self, now: datetime) -> bool:
        """Say whether a maintenance lock that came as a command still holds."""
        return self.locked_until_ms is not None and epoch_ms(now) < self.locked_until_ms

    def running(self, now: datetime) -> dict[str, Answer]:
        """Return the answers whose order still holds a lever: these are never forgotten."""
        now_ms = epoch_ms(now)
        return {
            key: answer for key, answer in self.answers.items() if answer.holds is not None and answer.ends_ms > now_ms
        }

    def remembering(self, command_id: str, answer: Answer, now: datetime) -> "GateState":
        """Return the state with one more answer and its issuer's sequence number used up.

        Where the memory is full the oldest answer that no running order needs is forgotten, of the issuer that has the
        most of them; its sequence number still refuses the command itself.
        """
        answers = {
            key: replace(held, holds=None)
            if answer.holds is not None and (held.issuer, held.holds) == (answer.issuer, answer.holds)
            else held
            for key, held in self.answers.items()
        }
        if len(answers) >= ANSWERS_MAX:
            running = self.running(now)
            ended = {key: held for key, held in answers.items() if key not in running}
            loudest = Counter(held.issuer for held in ended.values()).most_common(1)
            for key in [key for key, held in ended.items() if held.issuer == loudest[0][0]][:1]:
                del answers[key]
        answers[command_id] = answer
        return replace(self, last_seq={**self.last_seq, answer.issuer: answer.seq}, answers=answers)

    def released(self, command_id: str) -> "GateState":
        """Return the state in which an order holds its lever no longer; its answer stays."""
        held = self.answers.get(command_id)
        if held is None:
            return self
        return replace(self, answers={**self.answers, command_id: replace(held, holds=None)})


def dump_gate(state: GateState) -> str:
    """Return the state as JSON; ``load_gate`` is its inverse."""
    return json.dumps(
        {
            "last_seq": dict(state.last_seq),
            "locked_until_ms": state.locked_until_ms,
            "answers": {key: _plain(answer) for key, answer in state.answers.items()},
        },
        separators=(",", ":"),
    )


def load_gate(text: str) -> GateState:
    """Return the state from JSON.

    Raises:
        ValueError: The text is not a state that ``dump_gate`` wrote; starting empty would accept replays, so do not.
    """
    try:
        raw = json.loads(text)
        return GateState(
            last_seq={str(issuer): int(seq) for issuer, seq in raw["last_seq"].items()},
            locked_until_ms=raw["locked_until_ms"],
            answers={str(key): _answer(plain) for key, plain in raw["answers"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"gate state has no valid {error}; it cannot be used") from error


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "digest": answer.digest,
        "issuer": answer.issuer,
        "seq": answer.seq,
        "ends_ms": answer.ends_ms,
        "accepted": answer.accepted,
        "holds": answer.holds,
        "reason": answer.reason,
        "detail": answer.detail,
        "feasible": None if answer.feasible is None else answer.feasible.model_dump(mode="json"),
    }


def _answer(plain: dict[str, Any]) -> Answer:
    return Answer(
        digest=plain["digest"],
        issuer=plain["issuer"],
        seq=plain["seq"],
        ends_ms=plain["ends_ms"],
        accepted=plain["accepted"],
        # An earlier version kept no lever: what it accepted holds one of its own until it ends.
        holds=plain.get("holds", plain["digest"] if plain["accepted"] else None),
        reason=None if plain["reason"] is None else Refusal(plain["reason"]),
        detail=plain["detail"],
        feasible=None if plain["feasible"] is None else _ACTION.validate_python(plain["feasible"]),
    )
