"""Gives the gateway an identity of its own, by a claim and a signing request; the same path renews it.

Each step leaves its result on disk before the next begins, so a power cut anywhere is continued, not repeated:
key -> certificate and token -> registered thing -> proven by connecting -> active. The claim stays until the identity
is proven. Source: AWS IoT Core developer guide, provisioning by claim; CreateCertificateFromCsr and RegisterThing MQTT
API.
"""

import asyncio
import contextlib
import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.claim_proof import Proof, earlier_proof_of, proof_of
from contracts.clock import Clock
from edge.errors import FleetError, FleetRefused, FleetSilent
from edge.fleet.identity import Identity, IdentityStore, Pending, Stage
from edge.fleet.requests import ANSWER_TIMEOUT_S
from edge.fleet.service import FleetService, fleet_service
from edge.fleet.stopping import stopped
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import LinkSettings

log = logging.getLogger(__name__)

ATTEMPTS_MAX = 5
_PAUSE_S = 5.0  # Grows with each attempt; on the site's clock.


@dataclass(frozen=True, kw_only=True)
class Claim:
    """By what right we ask: a claim certificate (or the present identity, to renew it) and a device secret.

    ``serial`` and a proof for it and the new key are what the pre-provisioning hook checks against its list; the secret
    itself is never sent. ``proof`` is how the list that made the claim wants it.
    """

    cert_file: Path
    key_file: Path
    client_id: str
    serial: str
    secret: bytes = b""
    proof: Proof = Proof.EARLIER

    def parameters(self, key_fingerprint: str) -> dict[str, str]:
        """Return RegisterThing's parameters for a key."""
        make = proof_of if self.proof is Proof.DERIVED else earlier_proof_of
        proof = make(self.secret, serial=self.serial, fingerprint=key_fingerprint)
        return {"SerialNumber": self.serial, "KeyFingerprint": key_fingerprint, "Proof": proof}


class Provisioner:
    """Makes one identity; call ``provision`` again after any failure to go on."""

    def __init__(
        self,
        *,
        store: IdentityStore,
        settings: LinkSettings,
        template: str,
        claim: Claim,
        clock: Clock,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        session: FleetService | None = None,
        purpose: str = "",
    ) -> None:
        """Prepare.

        Args:
            store: Where the identity is made.
            settings: The broker; its certificate and key are replaced by the claim's, then by our own.
            template: Name of the fleet's provisioning template.
            claim: By what right we ask.
            clock: Tells how old a token is, and paces attempts.
            answer_timeout_s: How long the service may take; real seconds.
            session: The service over a link that is open already; without it a session is opened by the claim. Who
                renews needs it: a second session under one name would throw the first one out.
            purpose: What the identity is for; the active identity still tells it after a power cut.
        """
        self._store = store
        self._settings = settings
        self._template = template
        self._claim = claim
        self._clock = clock
        self._answer_timeout_s = answer_timeout_s
        self._session = session
        self._purpose = purpose

    async def provision(self) -> Identity:
        """Return the new active identity; what is there already is continued, what is too old is begun anew.

        Raises:
            FleetRefused: The service said no; asking again will not help.
            FleetSilent: It did not answer, or did not let the new identity in, in several attempts; what was reached
                is kept.
            FleetError: It answered what cannot be used.
        """
        if orphan := self._store.adopt_orphan():
            return orphan
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await self._continue()
            except FleetSilent as error:
                log.warning("provisioning waits", extra={"attempt": attempt, "reason": str(error)})
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(_PAUSE_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _continue(self) -> Identity:
        pending = self._store.pending()
        if pending.stage is Stage.CERTIFIED and self._expired(pending):
            log.warning("ownership token expired, begun anew", extra={"certificate": pending.certificate_id})
            self._store.discard_certificate()
            pending = self._store.pending()
        if pending.stage is not Stage.REGISTERED:
            async with self._asking() as service:
                await self._certify(service, pending.stage)
                try:
                    await self._register(service)
                except FleetRefused as error:
                    if pending.stage is not Stage.CERTIFIED:
                        self._store.discard_pending()
                        raise
                    await self._register_anew(service, error)
        await self._prove(self._store.to_be_proven())
        identity = self._store.promote()
        log.info("identity active", extra={"thing": identity.thing_name, "certificate": identity.certificate_id})
        return identity

    async def _register_anew(self, service: FleetService, refusal: FleetRefused) -> None:
        """Try once more with a new certificate of the same key: the kept token may have been used before a restart."""
        log.warning("kept token refused, begun anew", extra={"reason": str(refusal)})
        self._store.discard_certificate()
        await self._certify(service, Stage.KEY)
        try:
            await self._register(service)
        except FleetRefused:
            self._store.discard_pending()
            raise

    async def _certify(self, service: FleetService, stage: Stage) -> None:
        if stage is Stage.CERTIFIED:
            return
        if stage is Stage.NONE:
            self._store.make_key()
        answer = await service.certify(self._store.signing_request(self._claim.serial))
        self._store.keep_certificate(
            certificate=_text(answer, "certificatePem"),
            certificate_id=_text(answer, "certificateId"),
            token=_text(answer, "certificateOwnershipToken"),
            now=self._clock.now(),
            purpose=self._purpose,
        )

    async def _register(self, service: FleetService) -> None:
        token = self._store.pending().token
        assert token is not None, "a certificate is kept with its token"
        parameters = self._claim.parameters(self._store.key_fingerprint())
        answer = await service.register(template=self._template, token=token, parameters=parameters)
        configuration = answer.get("deviceConfiguration") or {}
        self._store.keep_thing(name=_text(answer, "thingName"), configuration=dict(configuration))

    async def _prove(self, identity: Identity) -> None:
        """Connect with the new identity; only what the broker lets in may become active."""
        settings = self._settings.model_copy(
            update={"cert_file": identity.cert_file, "key_file": identity.key_file, "session_expiry_s": 0}
        )
        link = make_link(settings, client_id=identity.thing_name)
        running = asyncio.create_task(link.run(), name="prove identity")
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await link.wait_for(LinkState.CONNECTED)
        except TimeoutError as error:
            raise FleetSilent(
                f"the broker did not let {identity.thing_name} in within {self._answer_timeout_s:g} s: "
                f"{link.status().last_error}"
            ) from error
        finally:
            await stopped(running)

    def _asking(self) -> AbstractAsyncContextManager[FleetService]:
        """Return a session under the claim, or the one that is open."""
        if self._session is not None:
            return contextlib.nullcontext(self._session)
        settings = self._settings.model_copy(
            update={"cert_file": self._claim.cert_file, "key_file": self._claim.key_file, "session_expiry_s": 0}
        )
        return fleet_service(settings, client_id=self._claim.client_id, timeout_s=self._answer_timeout_s)

    def _expired(self, pending: Pending) -> bool:
        return pending.token_until is None or self._clock.now() >= pending.token_until


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise FleetError(f"the service's answer has no {key}; nothing is kept of it")
    return value
