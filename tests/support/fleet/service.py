"""Stands where the fleet service stands: signs requests with the test's authority and registers things."""

import asyncio
import contextlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from tests.support.brokers.broker import Authority, Broker

TEMPLATE = "sitewatt-gateway"
CSR_TOPIC = "$aws/certificates/create-from-csr/json"
REGISTER_TOPIC = f"$aws/provisioning-templates/{TEMPLATE}/provision/json"

ACL = """
user service
topic readwrite #
topic readwrite $aws/#
user claim
topic write $aws/certificates/create-from-csr/json
topic read $aws/certificates/+/json/+
topic write $aws/provisioning-templates/+/provision/json
topic read $aws/provisioning-templates/+/provision/json/+
pattern readwrite sitewatt/v1/zone-a/%u/#
"""


@dataclass
class FleetService:
    """Answers CreateCertificateFromCsr and RegisterThing; told how, it misbehaves.

    ``silent`` and ``refuse`` hold how often a topic's next requests are to be dropped or refused.
    """

    broker: Broker
    authority: Authority
    silent: dict[str, int] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    foreign_certificate: bool = False
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    registered: list[dict[str, str]] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _tokens: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Answer until cancelled."""
        identity = self.authority.issue("service")
        tls = aiomqtt.TLSParameters(
            ca_certs=str(self.authority.ca_path), certfile=str(identity.cert_path), keyfile=str(identity.key_path)
        )
        async with aiomqtt.Client("localhost", self.broker.port, tls_params=tls) as client:
            await client.subscribe("$aws/#", qos=1)
            self.ready.set()
            async for message in client.messages:
                topic = message.topic.value
                if topic in {CSR_TOPIC, REGISTER_TOPIC}:
                    await self._answer(client, topic, json.loads(bytes(message.payload)))

    async def _answer(self, client: aiomqtt.Client, topic: str, request: dict[str, Any]) -> None:
        self.requests.append((topic, request))
        if _due(self.silent, topic):
            return
        answer = None if _due(self.refuse, topic) else self._carry_out(topic, request)
        kind = "rejected" if answer is None else "accepted"
        refusal = {"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": "not on the list"}
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(f"{topic}/{kind}", json.dumps(answer or refusal), qos=1)

    def _carry_out(self, topic: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if topic == CSR_TOPIC:
            token = uuid.uuid4().hex
            self._tokens.add(token)
            certificate = self.authority.sign_csr(request["certificateSigningRequest"])
            if self.foreign_certificate:
                certificate = self.authority.issue("somebody-else").cert_path.read_text()
            return {
                "certificateId": uuid.uuid4().hex,
                "certificatePem": certificate,
                "certificateOwnershipToken": token,
            }
        if request["certificateOwnershipToken"] not in self._tokens:
            return None
        self._tokens.remove(request["certificateOwnershipToken"])
        self.registered.append(request["parameters"])
        return {"thingName": request["parameters"]["SerialNumber"], "deviceConfiguration": {"zone": "zone-a"}}


def _due(counts: dict[str, int], topic: str) -> bool:
    left = counts.get(topic, 0)
    counts[topic] = max(0, left - 1)
    return left > 0
