"""What an operator of the fleet can do, on AWS or on the stand-in; and the one on AWS."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol

from cloud.errors import FleetDenied
from cloud.infra.fleet import CLAIM_POLICY, FLEET_POLICY, TEMPLATE_NAME

# Source: CreateProvisioningClaim; the certificate must be used within this time and is never listed.
TRUSTED_USER_LIFE: Final = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class ClaimPapers:
    """A claim's certificate and key (PEM)."""

    certificate_id: str
    certificate: str
    key: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    """How one gateway stands with one job."""

    id: str
    state: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GatewayView:
    """A registered gateway."""

    name: str
    zone: str
    serial: str
    certificates: tuple[str, ...] = ()
    shadows: dict[str, Any] = field(default_factory=dict)
    jobs: tuple[JobView, ...] = ()


class FleetOperator(Protocol):
    """An operator's hands.

    Raises:
        FleetDenied: From every call, where the fleet knows no such gateway or job, or refuses; nothing was done.
    """

    def create_claim(self, *, trusted_user: bool) -> ClaimPapers:
        """Make a claim; a trusted user's is good for five minutes."""

    def revoke_claim(self, certificate_id: str) -> None:
        """Make a claim worthless."""

    def gateways(self) -> Sequence[GatewayView]:
        """Return all gateways, without shadows and jobs."""

    def gateway(self, name: str) -> GatewayView:
        """Return one gateway with its shadows and jobs."""

    def create_job(self, name: str, *, job_id: str, document: dict[str, Any]) -> None:
        """Give a gateway a job."""

    def want(self, name: str, shadow: str, desired: dict[str, Any]) -> int:
        """Want something of a gateway through one of its shadows, and return the version of that wish."""

    def job(self, name: str, job_id: str) -> JobView:
        """Return how a gateway stands with a job."""

    def retire_certificates(self, name: str, *, keep: str) -> int:
        """Revoke all certificates of a gateway but one, which must be one of its own; return how many."""

    def decommission(self, name: str) -> None:
        """Revoke all certificates of a gateway and forget it."""


class AwsFleet:
    """The operator on AWS IoT Core; ``iot`` and ``data`` are boto3 clients of ``iot`` and ``iot-data``."""

    def __init__(self, iot: Any, data: Any) -> None:
        self._iot = iot
        self._data = data

    def create_claim(self, *, trusted_user: bool) -> ClaimPapers:
        """See ``FleetOperator``."""
        if trusted_user:
            made = self._call("create_provisioning_claim", templateName=TEMPLATE_NAME)
        else:
            made = self._call("create_keys_and_certificate", setAsActive=True)
            self._call("attach_policy", policyName=CLAIM_POLICY, target=made["certificateArn"])
        return ClaimPapers(
            certificate_id=made["certificateId"],
            certificate=made["certificatePem"],
            key=made["keyPair"]["PrivateKey"],
        )

    def revoke_claim(self, certificate_id: str) -> None:
        """See ``FleetOperator``."""
        self._call("update_certificate", certificateId=certificate_id, newStatus="REVOKED")

    def gateways(self) -> Sequence[GatewayView]:
        """See ``FleetOperator``."""
        found = self._pages("list_things", "things")
        return [
            GatewayView(name=thing["thingName"], zone=attributes["zone"], serial=attributes["serial"])
            for thing in found
            if {"zone", "serial"} <= (attributes := thing.get("attributes", {})).keys()
        ]

    def gateway(self, name: str) -> GatewayView:
        """See ``FleetOperator``."""
        attributes = self._call("describe_thing", thingName=name).get("attributes", {})
        executions = self._pages("list_job_executions_for_thing", "executionSummaries", thingName=name)
        return GatewayView(
            name=name,
            zone=attributes.get("zone", ""),
            serial=attributes.get("serial", ""),
            certificates=tuple(_certificate_id(arn) for arn in self._principals(name)),
            shadows={shadow: self._shadow(name, shadow) for shadow in self._shadow_names(name)},
            jobs=tuple(JobView(id=one["jobId"], state=one["jobExecutionSummary"]["status"]) for one in executions),
        )

    def create_job(self, name: str, *, job_id: str, document: dict[str, Any]) -> None:
        """See ``FleetOperator``."""
        target = self._call("describe_thing", thingName=name)["thingArn"]
        self._call(
            "create_job", jobId=job_id, targets=[target], document=json.dumps(document), targetSelection="SNAPSHOT"
        )

    def want(self, name: str, shadow: str, desired: dict[str, Any]) -> int:
        """See ``FleetOperator``."""
        self._call("describe_thing", thingName=name)
        payload = json.dumps({"state": {"desired": desired}}).encode()
        told = self._call_data("update_thing_shadow", thingName=name, shadowName=shadow, payload=payload)
        return int(json.loads(told["payload"].read())["version"])

    def job(self, name: str, job_id: str) -> JobView:
        """See ``FleetOperator``."""
        told = self._call("describe_job_execution", jobId=job_id, thingName=name)["execution"]
        details = told.get("statusDetails", {}).get("detailsMap", {})
        return JobView(id=job_id, state=told["status"], details=details)

    def retire_certificates(self, name: str, *, keep: str) -> int:
        """See ``FleetOperator``."""
        principals = {_certificate_id(arn): arn for arn in self._principals(name)}
        former = former_certificates(name, tuple(principals), keep=keep)
        for certificate_id in former:
            self._retire(name, principals[certificate_id])
        return len(former)

    def decommission(self, name: str) -> None:
        """See ``FleetOperator``."""
        for arn in self._principals(name):
            self._retire(name, arn)
        self._call("delete_thing", thingName=name)

    def _retire(self, name: str, arn: str) -> None:
        # First it may connect no more; what is taken away after that cannot be used meanwhile.
        self._call("update_certificate", certificateId=_certificate_id(arn), newStatus="REVOKED")
        self._call("detach_policy", policyName=FLEET_POLICY, target=arn)
        self._call("detach_thing_principal", thingName=name, principal=arn)

    def _principals(self, name: str) -> list[str]:
        return [str(arn) for arn in self._call("list_thing_principals", thingName=name)["principals"]]

    def _shadow_names(self, name: str) -> list[str]:
        return [str(each) for each in self._call_data("list_named_shadows_for_thing", thingName=name)["results"]]

    def _shadow(self, name: str, shadow: str) -> Any:
        told = self._call_data("get_thing_shadow", thingName=name, shadowName=shadow)
        return json.loads(told["payload"].read())

    def _pages(self, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._call(operation, **arguments, **token)
            yield from page[key]
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _call(self, operation: str, **arguments: Any) -> Any:
        return _called(self._iot, operation, arguments)

    def _call_data(self, operation: str, **arguments: Any) -> Any:
        return _called(self._data, operation, arguments)


def former_certificates(name: str, certificates: Sequence[str], *, keep: str) -> list[str]:
    """Return a gateway's certificates but the one that it keeps.

    Raises:
        FleetDenied: That one is none of its own: without it the gateway could not connect any more.
    """
    if keep not in certificates:
        raise FleetDenied(
            f"{keep or 'nothing'} is no certificate of {name}; nothing retired", code="ResourceNotFound", status=404
        )
    return [each for each in certificates if each != keep]


def _certificate_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def _called(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, operation)(**arguments)
    except ClientError as error:
        told = error.response.get("Error", {})
        raise FleetDenied(
            f"{operation}: {told.get('Message', error)}", code=str(told.get("Code", "Unknown"))
        ) from error
    except BotoCoreError as error:
        raise FleetDenied(f"{operation}: {error}", code="Unreachable", status=503) from error
