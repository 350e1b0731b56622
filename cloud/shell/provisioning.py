"""Decides whether a gateway may register: its serial is on the list and it has the secret that was printed with it.

A serial is registered once. The same key may come again (its answer was lost), and so may who connects by the
certificate that the serial has now (it renews itself); anybody else waits until an operator releases the serial. The
service waits 5 s and takes silence for no. Source: AWS IoT Core developer guide, "Pre-provisioning hooks".
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.errors import ConditionFailed
from cloud.stores import keys
from cloud.stores.tables import Item, Put, Tables
from contracts.claim_proof import PREFIX, earlier_proof_of, is_proven
from contracts.units import printable

log = logging.getLogger(__name__)

HOOK_PAYLOAD_VERSION: Final = "2020-04-01"
_CERTIFICATES_KEPT: Final = 2
REFUSED: Final[dict[str, object]] = {"allowProvisioning": False}


@dataclass(frozen=True, kw_only=True)
class Application:
    """Who asks, with what."""

    serial: str
    fingerprint: str
    proof: str
    certificate_id: str
    claim_certificate_id: str


def answer(event: dict[str, Any], tables: Callable[[], Tables]) -> dict[str, Any]:
    """Return the service's answer: the site and zone of a serial that may register, else a refusal.

    Args:
        event: What the service asks; every byte may be chosen by a stranger with a claim.
        tables: Opens the list of serials; called only for a complete application.

    Raises:
        StoreError: The list could not be read or written.
    """
    application = _application(event)
    if application is None:
        log.warning("provisioning refused", extra={"reason": "the request is incomplete", "client": client_of(event)})
        return REFUSED
    opened = tables()
    item = opened.get(keys.gateway(application.serial))
    reason = refusal(application, item)
    if reason is None:
        assert item is not None, "a serial that is not listed was refused"
        try:
            opened.put(Put(key=item.key, body=_registered(item.body, application), if_version=item.version))
        except ConditionFailed:
            reason = "somebody else registered the serial at the same time"
    if reason is not None or item is None:
        log.warning("provisioning refused", extra={"serial": application.serial, "reason": reason})
        return REFUSED
    log.info("provisioning allowed", extra={"serial": application.serial, "site": item.body["site"]})
    return {
        "allowProvisioning": True,
        "parameterOverrides": {"SiteId": item.body["site"], "Zone": item.body["zone"]},
    }


def refusal(application: Application, item: Item | None) -> str | None:
    """Return why an application is refused, ``None`` where it is not."""
    if item is None:
        return "the serial is not on the list"
    if not _is_proven(application, item):
        is_earlier = "verifier" in item.body and not application.proof.startswith(PREFIX)
        hint = ", or the gateway is of an earlier version, for which the claim is made with --earlier"
        return f"the proof does not fit the serial's secret and this key{hint if is_earlier else ''}"
    if item.body.get("retired"):
        return "the serial is retired"
    before = item.body.get("fingerprint")
    if before is None or before == application.fingerprint or item.body.get("released"):
        return None
    if application.claim_certificate_id in item.body.get("certificates", []):
        return None
    return "the serial is registered already and was not released"


def _is_proven(application: Application, item: Item) -> bool:
    """Say whether the proof fits; an entry made by, or for, an earlier version holds the secret itself."""
    serial, fingerprint = application.serial, application.fingerprint
    if "verifier" in item.body:
        verifier = bytes.fromhex(item.body["verifier"])
        return is_proven(application.proof, verifier, serial=serial, fingerprint=fingerprint)
    secret = bytes.fromhex(item.body["secret"])
    wanted = earlier_proof_of(secret, serial=serial, fingerprint=fingerprint)
    return hmac.compare_digest(wanted.encode(), application.proof.encode("utf-8", "replace"))


def _registered(body: dict[str, Any], application: Application) -> dict[str, Any]:
    known = [kept for kept in body.get("certificates", []) if kept != application.certificate_id]
    certificates = [*known, application.certificate_id][-_CERTIFICATES_KEPT:]
    return {**body, "fingerprint": application.fingerprint, "certificates": certificates, "released": False}


def _application(event: dict[str, Any]) -> Application | None:
    """Read the service's event; ``None`` where something is missing, or the certificate is not of the named key."""
    parameters = event.get("parameters") or {}
    version = event.get("payloadVersion", HOOK_PAYLOAD_VERSION)
    try:
        public = x509.load_pem_x509_certificate(str(event["certificatePem"]).encode()).public_key()
        application = Application(
            serial=str(parameters["SerialNumber"]),
            fingerprint=str(parameters["KeyFingerprint"]),
            proof=str(parameters["Proof"]),
            certificate_id=str(event["certificateId"]),
            claim_certificate_id=str(event.get("claimCertificateId", "")),
        )
    except (KeyError, ValueError):
        return None
    fingerprint = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    return application if fingerprint == application.fingerprint and version == HOOK_PAYLOAD_VERSION else None


def client_of(event: dict[str, object]) -> str:
    """Return the client id that asks, in characters that a log may hold."""
    return printable(str(event.get("clientId", "unknown")), 128) if isinstance(event, dict) else "unknown"
