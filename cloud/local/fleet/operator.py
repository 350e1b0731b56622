"""The operator's hands on the stand-in: they write into its book; a running stand-in sees it and tells the gateways."""

from collections.abc import Sequence
from dataclasses import replace

from cloud.errors import FleetDenied
from cloud.infra.fleet_operator import (
    TRUSTED_USER_LIFE,
    ClaimPapers,
    GatewayView,
    JobView,
    former_certificates,
)
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import (
    Book,
    Certificate,
    CertificateState,
    Job,
    Shadow,
    Thing,
    revoked,
)
from cloud.local.fleet.shadows import wished
from contracts.clock import Clock
from contracts.units import epoch_ms


class LocalOperator:
    """A ``FleetOperator`` on a book and an authority."""

    def __init__(self, *, book: Book, authority: LocalAuthority, clock: Clock) -> None:
        self._book = book
        self._authority = authority
        self._clock = clock

    def create_claim(self, *, trusted_user: bool) -> ClaimPapers:
        """See ``FleetOperator``."""
        issued = self._authority.issue(valid_for=TRUSTED_USER_LIFE if trusted_user else None)
        assert issued.key is not None, "the authority made the claim's key"
        certificate = Certificate(
            id=issued.certificate_id,
            pem=issued.certificate,
            serial_number=str(issued.serial_number),
            state=CertificateState.CLAIM,
        )
        with self._book.change():
            self._book.put(certificate)
        return ClaimPapers(certificate_id=certificate.id, certificate=certificate.pem, key=issued.key)

    def revoke_claim(self, certificate_id: str) -> None:
        """See ``FleetOperator``."""
        with self._book.change():
            certificate = self._book.certificate(certificate_id)
            if certificate is None:
                raise FleetDenied(f"there is no certificate {certificate_id}", code="ResourceNotFound", status=404)
            self._book.put(revoked(certificate))

    def gateways(self) -> Sequence[GatewayView]:
        """See ``FleetOperator``."""
        return [self._view(thing) for thing in self._book.things()]

    def gateway(self, name: str) -> GatewayView:
        """See ``FleetOperator``."""
        view = self._view(self._thing(name))
        shadows = {each: self._book.shadow(name, each) for each in ("config", "limits")}
        return replace(
            view,
            shadows={each: _told(shadow) for each, shadow in shadows.items() if shadow.version},
            jobs=tuple(_job_view(job) for job in self._book.jobs(name)),
        )

    def create_job(self, name: str, *, job_id: str, document: dict[str, object]) -> None:
        """See ``FleetOperator``."""
        thing = self._thing(name)
        now_ms = epoch_ms(self._clock.now())
        with self._book.change():
            if self._book.job(name, job_id) is not None:
                raise FleetDenied(f"{name} has a job {job_id} already", code="ResourceAlreadyExists", status=409)
            job = Job(id=job_id, thing=thing.name, document=document, queued_ms=now_ms, updated_ms=now_ms)
            self._book.put(job)

    def want(self, name: str, shadow: str, desired: dict[str, object]) -> int:
        """See ``FleetOperator``."""
        self._thing(name)
        with self._book.change():
            changed = wished(self._book.shadow(name, shadow), desired)
            self._book.put(changed)
        return changed.version

    def job(self, name: str, job_id: str) -> JobView:
        """See ``FleetOperator``."""
        job = self._book.job(name, job_id)
        if job is None:
            raise FleetDenied(f"{name} has no job {job_id}", code="ResourceNotFound", status=404)
        return _job_view(job)

    def retire_certificates(self, name: str, *, keep: str) -> int:
        """See ``FleetOperator``."""
        self._thing(name)
        with self._book.change():
            certificates = {one.id: one for one in self._certificates(name)}
            former = former_certificates(name, tuple(certificates), keep=keep)
            for certificate_id in former:
                self._book.put(revoked(certificates[certificate_id]))
        return len(former)

    def decommission(self, name: str) -> None:
        """See ``FleetOperator``."""
        self._thing(name)
        with self._book.change():
            for certificate in self._certificates(name):
                self._book.put(revoked(certificate))
            self._book.forget_thing(name)

    def _thing(self, name: str) -> Thing:
        thing = self._book.thing(name)
        if thing is None:
            raise FleetDenied(f"there is no gateway {name}", code="ResourceNotFound", status=404)
        return thing

    def _certificates(self, name: str) -> list[Certificate]:
        found = self._book.certificates()
        return [one for one in found if one.thing == name and one.state is CertificateState.ACTIVE]

    def _view(self, thing: Thing) -> GatewayView:
        certificates = tuple(one.id for one in self._certificates(thing.name))
        return GatewayView(name=thing.name, zone=thing.zone, serial=thing.serial, certificates=certificates)


def _told(shadow: Shadow) -> dict[str, object]:
    return {"version": shadow.version, "state": {"desired": shadow.desired, "reported": shadow.reported}}


def _job_view(job: Job) -> JobView:
    return JobView(id=job.id, state=job.state.value, details=job.details)
