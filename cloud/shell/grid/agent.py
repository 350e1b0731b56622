"""One step of the grid agent: state, actions, evidence and commands in one transaction, then out to the sites.

What is to be sent stands in the agent's own item until the broker has it, so a function that dies between the two sends
it at its next call; a command that comes twice has one effect, because its id is the same.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from cloud.errors import ConditionFailed
from cloud.figures import COMMANDS
from cloud.grid.actions import Broadcast, GridAction, RecordEvent, RecordEvidence, ReleaseCommand, SendCommand
from cloud.grid.event import Observation, advance
from cloud.grid.state import EventState, dump_state, load_state
from cloud.shell.counting import count
from cloud.shell.grid.claims import claim, ordered_since
from cloud.shell.grid.network import network_of
from cloud.shell.grid.requests import held, request_at
from cloud.shell.grid.view import observations, offers_of, settings_of
from cloud.shell.intake import LOG
from cloud.shell.market.writer import market_of
from cloud.shell.publishing import Outgoing
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.registry import FeederRecord
from cloud.stores.tables import TRANSACT_MAX, Put, Write, chunks
from contracts.control import Command, Release
from contracts.topics import Broadcast as BroadcastChannel
from contracts.topics import Down, broadcast_topic, site_topic
from contracts.units import epoch_ms, instant

ATTEMPTS_MAX: Final = 8

_EMPTY: Final[dict[str, object]] = {
    "state": None,
    "at": 0,
    "seqs": {},
    "evidence": {},
    "outbox": [],
    "ordered": {},
    "claims": [],
}

_EVENT: Final = TypeAdapter(RecordEvent)
_EVIDENCE: Final = TypeAdapter(RecordEvidence)


def step(
    services: Services,
    feeder: FeederRecord,
    *,
    seen: Observation,
    at: datetime,
    also: Sequence[Write] = (),
) -> None:
    """Let the agent see something, and do what it decides; ``also`` is written in the same transaction.

    Args:
        services: Stores, key and the way to the sites.
        feeder: Whose agent it is.
        seen: Feeder samples and acks; the newest of the sites is read from the tables.
        at: The instant of the call, from its event.

    Raises:
        ConditionFailed: Other calls were first, again and again, or ``also`` no longer holds; deliver this one again.
        StoreError: The tables failed.
        PublishError: The broker did not take the messages; the next call sends them.
    """
    for attempt in range(ATTEMPTS_MAX):
        try:
            _step(services, feeder, seen=seen, at=at, also=also)
        except ConditionFailed:
            if attempt == ATTEMPTS_MAX - 1:
                raise
        else:
            return


def _step(services: Services, feeder: FeederRecord, *, seen: Observation, at: datetime, also: Sequence[Write]) -> None:
    key = keys.feeder_state(feeder.id)
    item = services.stores.tables.get(key)
    body: dict[str, Any] = {**_EMPTY, **(item.body if item else {})}
    # Calls may overtake one another; the agent's own time never goes back.
    now = max(at, instant(body["at"]))
    observed = replace(seen, sites=observations(services.stores.tables, services.registry.sites_on(feeder.id)))
    before = load_state(body["state"])
    settings = held(settings_of(feeder), request_at(services.stores.tables, feeder.id, at=now))
    network, _ = network_of(services.registry, feeder)
    offers = offers_of(services.registry, feeder)
    state, actions = advance(before, observed, offers, settings, now, network=network)
    waiting = bool(also or body["outbox"] or body["claims"] or state.event)
    if item is not None and state == before and not actions and not waiting:
        return  # A quiet second is not written down.
    acting = _Acting(services=services, feeder=feeder, body=body)
    writes = [write for action in actions for write in acting.act(action)]
    _take_claims(services, feeder, body, before=before, ended=state.event is None, now=now)
    new_body = {**body, "state": dump_state(state), "at": epoch_ms(now)}
    version = item.version if item else 0
    # Evidence and commands of many sites may be too many for one transaction. What is written ahead counts for nothing
    # until the agent's item says so: commands are not yet sent, and evidence of the same number is written again.
    room = TRANSACT_MAX - len(also) - 1
    for part in chunks(writes[room:]):
        services.stores.tables.transact(part)
    services.stores.tables.transact([*also, *writes[:room], Put(key=key, body=new_body, if_version=version)])
    if body["outbox"] or body["claims"]:
        _send(services, feeder, new_body, version + 1)


class _Acting:
    """Turns the agent's actions into writes, and fills the outbox and counters of its item."""

    def __init__(self, *, services: Services, feeder: FeederRecord, body: dict[str, Any]) -> None:
        self._services = services
        self._feeder = feeder
        self._body = body

    def act(self, action: GridAction) -> Sequence[Put]:
        """Return what an action writes."""
        match action:
            case SendCommand():
                command = self._command(action, action.action)
                LOG.info("command sent", extra={"site": action.site, "event": action.event_id})
                return self._send_command(command)
            case ReleaseCommand():
                return self._send_command(self._command(action, Release(command_id=action.releases)))
            case Broadcast():
                topic = broadcast_topic(zone=self._feeder.zone, channel=BroadcastChannel.GRID)
                self._put_out(Outgoing(topic=topic, payload=action.message.encode()))
                return []
            case RecordEvent():
                body = _EVENT.dump_python(action, mode="json")
                return [Put(key=keys.grid_event(self._feeder.id, action.event_id), body=body)]
            case RecordEvidence():
                number = self._body["evidence"].get(action.event_id, 0) + 1
                self._body["evidence"] = {action.event_id: number}
                body = _EVIDENCE.dump_python(action, mode="json")
                return [Put(key=keys.grid_evidence(action.event_id, number), body=body)]

    def _command(self, action: SendCommand | ReleaseCommand, order: Any) -> Command:
        seq = self._body["seqs"].get(action.site, 0) + 1
        self._body["seqs"] = {**self._body["seqs"], action.site: seq}
        return self._services.signer.sign(
            Command(
                command_id=action.command_id,
                site=action.site,
                issuer=self._services.signer.issuer,
                seq=seq,
                issued_at=action.issued_at,
                expires_at=action.expires_at,
                action=order,
                event_id=action.event_id,
            )
        )

    def _send_command(self, command: Command) -> Sequence[Put]:
        topic = site_topic(zone=self._feeder.zone, site=command.site, channel=Down.COMMANDS)
        life_s = max(1, (command.expires_at - command.issued_at) // timedelta(seconds=1))
        self._put_out(Outgoing(topic=topic, payload=command.encode(), expiry_s=life_s))
        body = {"command": command.model_dump(mode="json", exclude_none=True), "acks": []}
        return [Put(key=keys.command(command.site, command.command_id), body=body)]

    def _put_out(self, message: Outgoing) -> None:
        self._body["outbox"] = [
            *self._body["outbox"],
            {
                "topic": message.topic,
                "payload": b64encode(message.payload).decode(),
                "expiry_s": message.expiry_s,
            },
        ]


def _take_claims(
    services: Services, feeder: FeederRecord, body: dict[str, Any], *, before: EventState, ended: bool, now: datetime
) -> None:
    """Sum what was ordered since the last call, and make the claim of an event that has just ended."""
    body["ordered"] = ordered_since(body["ordered"], before, since=instant(body["at"]), now=now)
    if before.event is None or not ended:
        return
    if feeder.dr_price_mct_per_kwh:
        claimed = claim(services, feeder, before.event, body["ordered"], at=now)
        body["claims"] = [*body["claims"], *([claimed] if claimed is not None else [])]
    body["ordered"] = {}


def _send(services: Services, feeder: FeederRecord, body: dict[str, Any], version: int) -> None:
    """Publish what waits and give claims to the market, and note it; that somebody else does so too does no harm."""
    services.publisher.publish(
        [
            Outgoing(topic=waiting["topic"], payload=b64decode(waiting["payload"]), expiry_s=waiting["expiry_s"])
            for waiting in body["outbox"]
        ]
    )
    count(COMMANDS, sum(waiting["topic"].endswith(f"/{Down.COMMANDS}") for waiting in body["outbox"]))
    market = market_of(services, feeder.zone)
    if market is not None and body["claims"]:
        market.submit(body["claims"], at_ms=body["at"])
    sent = {**body, "outbox": [], "claims": []}
    try:
        services.stores.tables.put(Put(key=keys.feeder_state(feeder.id), body=sent, if_version=version))
    except ConditionFailed:
        LOG.debug("outbox sent twice", extra={"feeder": feeder.id})
