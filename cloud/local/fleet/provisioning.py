"""CreateCertificateFromCsr and RegisterThing, as the service carries them out.

Source: AWS IoT Core developer guide, "Device provisioning MQTT API", "Provisioning templates".
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from cloud.errors import FleetDenied
from cloud.infra.fleet import TEMPLATE_NAME, fleet_template
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book, Certificate, CertificateState, Thing, revoked
from cloud.shell.provisioning import HOOK_PAYLOAD_VERSION
from contracts.clock import Clock
from contracts.units import epoch_ms

log = logging.getLogger(__name__)

TOKEN_LIFE: Final = timedelta(hours=1)  # Source: CreateCertificateFromCsr; the certificate goes with its token.

Hook = Callable[[dict[str, Any]], dict[str, Any]]


def create_from_csr(book: Book, authority: LocalAuthority, request: dict[str, Any], *, clock: Clock) -> dict[str, Any]:
    """Sign a request; the certificate is pending until its token registers it.

    Raises:
        FleetDenied: The request holds no usable signing request.
    """
    issued = authority.sign(str(request.get("certificateSigningRequest", "")))
    token = secrets.token_urlsafe(48)
    certificate = Certificate(
        id=issued.certificate_id,
        pem=issued.certificate,
        serial_number=str(issued.serial_number),
        state=CertificateState.PENDING,
        token=token,
        token_until_ms=epoch_ms(clock.now() + TOKEN_LIFE),
    )
    with book.change():
        book.put(certificate)
    return {
        "certificateId": certificate.id,
        "certificatePem": certificate.pem,
        "certificateOwnershipToken": token,
    }


def applied_for(book: Book, request: dict[str, Any], *, clock: Clock) -> tuple[Certificate, dict[str, str]]:
    """Return the certificate and parameters of a registration.

    Raises:
        FleetDenied: The token registers nothing, or the parameters are not texts.
    """
    certificate = book.certificate_of_token(str(request.get("certificateOwnershipToken", "")), now=clock.now())
    if certificate is None:
        raise FleetDenied("the ownership token is not valid", code="InvalidCertificateOwnershipToken")
    parameters = request.get("parameters") or {}
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise FleetDenied("parameters must map texts to texts", code="InvalidParameters")
    return certificate, parameters


def hook_event(certificate: Certificate, parameters: dict[str, str], *, asker: str) -> dict[str, Any]:
    """Return what the pre-provisioning hook is asked; ``asker`` is the certificate that the request came by."""
    return {
        "payloadVersion": HOOK_PAYLOAD_VERSION,
        "claimCertificateId": asker,
        "certificateId": certificate.id,
        "certificatePem": certificate.pem,
        "templateArn": f"arn:aws:iot:local:000000000000:provisioningtemplate/{TEMPLATE_NAME}",
        "clientId": asker,
        "parameters": parameters,
    }


def register_thing(
    book: Book, certificate: Certificate, parameters: dict[str, str], decision: dict[str, Any], *, clock: Clock
) -> dict[str, Any]:
    """Make the template's thing for a certificate as the hook decided, and activate it.

    Earlier certificates of the thing stay good until an operator retires them: the new one is not proven yet.

    Raises:
        FleetDenied: The hook did not allow it, or a parameter is missing.
    """
    if decision.get("allowProvisioning") is not True:
        raise FleetDenied("Access Denied: the pre-provisioning hook refused", code="AccessDenied", status=403)
    known = {**parameters, **decision.get("parameterOverrides", {}), "AWS::IoT::Certificate::Id": certificate.id}
    template = fleet_template()
    properties = _resolved(template["Resources"]["thing"]["Properties"], known)
    attributes = properties["AttributePayload"]
    thing = Thing(
        name=properties["ThingName"],
        zone=attributes["zone"],
        serial=attributes["serial"],
        registered_ms=epoch_ms(clock.now()),
    )
    with book.change():
        book.put(thing)
        active = replace(certificate, state=CertificateState.ACTIVE, thing=thing.name, token=None, token_until_ms=0)
        book.put(active)
        _retire_all_but_two(book, thing.name, newest=certificate.id)
    log.info("thing registered", extra={"thing": thing.name, "certificate": certificate.id})
    return {"thingName": thing.name, "deviceConfiguration": _resolved(template["DeviceConfiguration"], known)}


def _retire_all_but_two(book: Book, thing: str, *, newest: str) -> None:
    """Keep the new certificate and the one before it, for a gateway whose new one was lost in a power cut."""
    active = [one for one in book.certificates() if one.thing == thing and one.state is CertificateState.ACTIVE]
    older = [one for one in active if one.id != newest]
    for one in older[:-1]:
        book.put(revoked(one))


def _resolved(value: Any, parameters: dict[str, str]) -> Any:
    """Return a part of the template with its references replaced."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            name = value["Ref"]
            if name not in parameters:
                raise FleetDenied(f"parameter {name} is missing", code="InvalidParameters")
            return parameters[name]
        return {key: _resolved(each, parameters) for key, each in value.items()}
    return value
