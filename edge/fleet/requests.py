"""Request and answer on a cloud's reserved topics: ``<topic>`` is answered on ``<topic>/accepted`` or ``/rejected``."""

import asyncio
import json
from typing import Any

from edge.errors import FleetError, FleetRefused, FleetSilent, LinkError
from edge.links.link import Inbound, Link, LinkState

ANSWER_TIMEOUT_S = 10.0


class Requests:
    """Sends a request on a topic and finds its answer; lives in ``run``, or is handed what arrives on a shared link."""

    def __init__(self, link: Link, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Prepare; ``timeout_s`` is how long an answer may take, in real seconds."""
        self._link = link
        self._timeout_s = timeout_s
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def run(self) -> None:
        """Hand answers to those who wait, until cancelled."""
        async for message in self._link.messages():
            self.arrived(message)

    async def ask(self, topic: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return what was accepted.

        Raises:
            FleetRefused: The service answered ``rejected``.
            FleetSilent: It did not answer, or the link was lost; the request may have been carried out.
        """
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        topics = {f"{topic}/accepted", f"{topic}/rejected"}
        try:
            async with asyncio.timeout(self._timeout_s):
                self._link.subscribe(topics)
                await self._link.wait_for(LinkState.CONNECTED)
                await self._subscribed(topics)
                self._answers[topic] = answer
                await self._link.publish(topic, json.dumps(request).encode())
                return await answer
        except TimeoutError as error:
            status = self._link.status()
            reasons = [f"the broker refuses {each}: {why}" for each, why in status.refused.items() if each in topics]
            reasons += [status.last_error] if status.last_error else []
            hint = "; " + "; ".join(reasons) if reasons else ""
            raise FleetSilent(f"{topic} had no answer within {self._timeout_s:g} s{hint}") from error
        except LinkError as error:
            raise FleetSilent(f"{topic} was not sent: {error}") from error
        finally:
            self._answers.pop(topic, None)

    async def _subscribed(self, topics: set[str]) -> None:
        """Wait until the broker has granted the answers' topics: an answer before that is lost."""
        while not topics <= self._link.status().subscribed:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def arrived(self, message: Inbound) -> None:
        """Take a message; what nobody waits for is dropped. For who reads the link's messages in our place."""
        topic, _, kind = message.topic.rpartition("/")
        answer = self._answers.get(topic)
        if answer is None or answer.done() or kind not in {"accepted", "rejected"}:
            return
        try:
            content = json.loads(message.payload)
        except (ValueError, RecursionError):
            answer.set_exception(FleetError(f"{message.topic} is not JSON"))
            return
        if not isinstance(content, dict):
            answer.set_exception(FleetError(f"{message.topic} is not a JSON object"))
        elif kind == "accepted":
            answer.set_result(content)
        else:
            code = str(content.get("errorCode") or content.get("code") or content.get("statusCode") or "rejected")
            reason = str(content.get("errorMessage") or content.get("message") or "no reason given")
            answer.set_exception(FleetRefused(f"{topic} was refused: {code}, {reason}", code=code))
