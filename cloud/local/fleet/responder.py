"""Answers on the reserved topics (provisioning, named shadows, jobs), and tells gateways what an operator changed."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiomqtt

from cloud.errors import CloudError, FleetDenied
from cloud.infra.fleet import CSR_TOPIC, HOOK_BUDGET_S, REGISTER_TOPIC
from cloud.local.fleet import jobs, shadows
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book, Shadow
from cloud.local.fleet.fault_injection import FaultInjection, Manner, Operation
from cloud.local.fleet.provisioning import Hook, applied_for, create_from_csr, hook_event, register_thing
from cloud.local.fleet.rules import write_fences
from cloud.local.lifetime import ended
from cloud.local.session import keep_session
from contracts.clock import Clock
from contracts.topics import provisioning_topic

log = logging.getLogger(__name__)

CLIENT_ID: Final = "sitewatt-fleet"
LOOK_S: Final = 0.2  # Real seconds between looks at what an operator has changed.
RECONNECT_S: Final = 0.5
LATE_MAX: Final = 100
# Who asks to be provisioned does so on the topics of its certificate, see ``provisioning_topic``.
_CSR_PREFIX: Final = provisioning_topic(CSR_TOPIC, certificate_id="")
_REGISTER_PREFIX: Final = provisioning_topic(REGISTER_TOPIC, certificate_id="")
_FILTERS: Final = (f"{_CSR_PREFIX}+", f"{_REGISTER_PREFIX}+", "$aws/things/+/shadow/name/+/+", "$aws/things/+/jobs/#")
_ANSWERS: Final = {"accepted", "rejected", "notify", "notify-next", "delta", "documents"}


class Responder:
    """The services of one fleet over one broker; lives in ``run``."""

    def __init__(
        self,
        *,
        book: Book,
        authority: LocalAuthority,
        rules_path: Path,
        reload_rules: Callable[[], None],
        hook: Hook,
        clock: Clock,
        host: str,
        port: int,
        username: str,
        password: str,
        fault_injection: FaultInjection | None = None,
    ) -> None:
        """Prepare.

        Args:
            book: What is known of the fleet.
            authority: Who signs.
            rules_path: The broker's file of access rules.
            reload_rules: Makes the broker read its rules and the list of revoked certificates again.
            hook: The pre-provisioning hook; called in a thread, may take ``HOOK_BUDGET_S``.
            clock: Tells how old a token is.
            host: The broker's plain listener.
            port: Its port.
            username: Our user there.
            password: The user's password.
            fault_injection: What to do wrong.
        """
        self.fault_injection = fault_injection or FaultInjection()
        self.ready = asyncio.Event()
        self._book = book
        self._authority = authority
        self._rules_path = rules_path
        self.reload_rules = reload_rules
        self._hook = hook
        self._clock = clock
        self._host, self._port = host, port
        self._username, self._password = username, password
        self._told: dict[str, tuple[str, int] | None] = {}
        self._shadows: dict[tuple[str, str], Shadow] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled; a lost broker is waited for."""
        await keep_session(self._new_client, self._serve, ended=self._ended, pause_s=lambda: RECONNECT_S)

    def _new_client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=CLIENT_ID,
            username=self._username,
            password=self._password,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def _ended(self, error: aiomqtt.MqttError | None) -> None:
        self.ready.clear()
        for late in self._late:
            late.cancel()
        if error is not None:
            log.warning("broker lost", extra={"error": str(error)})

    def apply_rules(self) -> None:
        """Give the broker the rules and revocations as they are now."""
        if write_fences(self._book, self._authority, self._rules_path):
            self.reload_rules()

    async def _serve(self, client: aiomqtt.Client) -> None:
        for each in _FILTERS:
            await client.subscribe(each, qos=1)
        self._remember()
        self.ready.set()
        looking = asyncio.create_task(self._look(client), name="operator's changes")
        answering = asyncio.create_task(self._answer_all(client), name="requests")
        tasks = {looking, answering}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            await ended(*tasks)

    async def _answer_all(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = message.topic.value
            if topic.rpartition("/")[2] in _ANSWERS or not isinstance(message.payload, bytes | bytearray):
                continue
            try:
                await self._take(client, topic, bytes(message.payload))
            except CloudError as error:
                log.error("request not carried out", extra={"topic": topic, "error": str(error)})  # noqa: TRY400
            except aiomqtt.MqttError:
                raise
            except Exception:  # The border: what one thing sends must not end the services of all.
                log.exception("request not answered", extra={"topic": topic})

    async def _take(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        operation = _operation(topic)
        manner = self.fault_injection.next(operation) if operation else None
        if operation is None or manner is Manner.LOST:
            return
        answers = await self._carry_out(topic, _object(payload), manner)
        if manner is Manner.UNANSWERED:
            return
        if manner is Manner.LATE and len(self._late) < LATE_MAX:
            task = asyncio.create_task(self._send_late(client, answers), name="late answer")
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return
        if manner is Manner.GARBLED:
            await client.publish(answers[0][0], b"\xff not JSON", qos=1)
            return
        await self._send(client, answers)

    async def _carry_out(self, topic: str, request: dict[str, object], manner: Manner | None) -> shadows.Answers:
        token = {"clientToken": request["clientToken"]} if isinstance(request.get("clientToken"), str) else {}
        try:
            if manner is Manner.REJECTED:
                raise FleetDenied("refused as told", code="AccessDenied", status=403)
            answers = await self._accepted(topic, request, manner)
        except FleetDenied as error:
            refusal = _refusal(topic, error, self._clock)
            return [(f"{topic}/rejected", {**refusal, **token})]
        first_topic, first = answers[0]
        return [(first_topic, {**first, **token}), *answers[1:]]

    async def _accepted(self, topic: str, request: dict[str, object], manner: Manner | None) -> shadows.Answers:
        now = self._clock.now()
        if topic.startswith(_CSR_PREFIX):
            certified = create_from_csr(self._book, self._authority, request, clock=self._clock)
            if manner is Manner.WRONG:
                certified["certificatePem"] = self._authority.issue().certificate
            return [(f"{topic}/accepted", certified)]
        if topic.startswith(_REGISTER_PREFIX):
            registered = await self._register(request, asker=topic.removeprefix(_REGISTER_PREFIX))
            return [(f"{topic}/accepted", {} if manner is Manner.WRONG else registered)]
        thing, rest = topic.removeprefix("$aws/things/").split("/", 1)
        parts = rest.split("/")
        if parts[0] == "shadow":
            if parts[-1] == "get":
                content = shadows.answer_get(self._book, thing=thing, name=parts[2], now=now)
                return [(f"{topic}/accepted", content)]
            shadow, said = shadows.update(self._book, thing=thing, name=parts[2], request=request, now=now)
            self._shadows[(thing, shadow.name)] = shadow
            return said
        return [(f"{topic}/accepted", self._job(thing, parts[1:], request)), *self._next_changed(thing)]

    async def _register(self, request: dict[str, object], *, asker: str) -> dict[str, object]:
        certificate, parameters = applied_for(self._book, request, clock=self._clock)
        try:
            async with asyncio.timeout(HOOK_BUDGET_S):
                decision = await asyncio.to_thread(self._hook, hook_event(certificate, parameters, asker=asker))
        except Exception as error:  # The border: whatever a hook fails by, and silence too, the service takes for no.
            log.warning("hook failed", extra={"error": f"{type(error).__name__}: {error}"})
            decision = {"allowProvisioning": False}
        registered = register_thing(self._book, certificate, parameters, decision, clock=self._clock)
        self.apply_rules()
        return registered

    def _job(self, thing: str, parts: list[str], request: dict[str, object]) -> dict[str, object]:
        now = self._clock.now()
        match parts:
            case ["get"]:
                return jobs.pending(self._book, thing, now=now)
            case ["start-next"]:
                return jobs.start_next(self._book, thing, request, now=now)
            case [job_id, "get"]:
                return jobs.describe(self._book, thing, job_id, now=now)
            case [job_id, "update"]:
                return jobs.update(self._book, thing, job_id, request, now=now)
        raise FleetDenied(f"{'/'.join(parts)} is no job operation", code="InvalidTopic")

    def _next_changed(self, thing: str) -> shadows.Answers:
        """Return the notice of what a thing is to do next, where that has changed."""
        job = self._book.next_job(thing)
        state = (job.id, job.version) if job else None
        identity = job.id if job else None
        before = self._told.get(thing)
        self._told[thing] = state
        if identity == (before[0] if before else None):
            return []
        content: dict[str, object] = {"timestamp": int(self._clock.now().timestamp())}
        if job is not None:
            content["execution"] = jobs.execution(job)
        return [(f"$aws/things/{thing}/jobs/notify-next", content)]

    async def _look(self, client: aiomqtt.Client) -> None:
        """Tell gateways what another process has written into the book."""
        seen = self._book.changes()
        while True:
            await asyncio.sleep(LOOK_S)
            changes = self._book.changes()
            if changes == seen:
                continue
            seen = changes
            self.apply_rules()
            for thing in self._book.things():
                await self._send(client, self._next_changed(thing.name))
                await self._send(client, self._wishes(thing.name))

    def _wishes(self, thing: str) -> shadows.Answers:
        """Return what a thing is told of shadows that another process has changed."""
        said: shadows.Answers = []
        for name in ("config", "limits"):
            shadow = self._book.shadow(thing, name)
            before = self._shadows.get((thing, name), Shadow(thing=thing, name=name))
            if shadow.version > before.version:
                said += shadows.told(before, shadow, now=self._clock.now())
            self._shadows[(thing, name)] = shadow
        return said

    def _remember(self) -> None:
        """Take the present state as told: gateways ask for it themselves when they connect."""
        for thing in self._book.things():
            self._next_changed(thing.name)
            self._wishes(thing.name)

    async def _send_late(self, client: aiomqtt.Client, answers: shadows.Answers) -> None:
        await asyncio.sleep(self.fault_injection.late_s)
        await self._send(client, answers)

    async def _send(self, client: aiomqtt.Client, answers: shadows.Answers) -> None:
        for topic, content in answers:
            await client.publish(topic, json.dumps(content), qos=1)


def _operation(topic: str) -> Operation | None:
    if topic.startswith(_CSR_PREFIX):
        return Operation.CERTIFY
    if topic.startswith(_REGISTER_PREFIX):
        return Operation.REGISTER
    parts = topic.split("/")
    if len(parts) == 7 and parts[3] == "shadow" and parts[6] in {"get", "update"}:
        return Operation.SHADOW
    return Operation.JOB if len(parts) in {5, 6} and parts[3] == "jobs" else None


def _refusal(topic: str, error: FleetDenied, clock: Clock) -> dict[str, object]:
    """Return a refusal in the words of the service that is asked: each has its own."""
    timestamp = int(clock.now().timestamp())
    if "/shadow/" in topic:
        return {"code": error.status, "message": str(error), "timestamp": timestamp}
    if "/jobs/" in topic:
        return {"code": error.code, "message": str(error), "timestamp": timestamp}
    return {"statusCode": error.status, "errorCode": error.code, "errorMessage": str(error)}


def _object(payload: bytes) -> dict[str, object]:
    try:
        content = json.loads(payload or b"{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
