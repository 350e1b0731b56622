"""Jobs as the service keeps them. Source: AWS IoT Core developer guide, "Jobs device MQTT API".

A job that was begun is handed out before one that waits, so a gateway that was switched off goes on where it was.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from cloud.errors import FleetDenied
from cloud.local.fleet.book import OPEN_STATES, Book, Job, JobState
from contracts.units import epoch_ms

NEXT: Final = "$next"
DETAIL_CHARS_MAX: Final = 1024
_BY_DEVICE: Final = {JobState.IN_PROGRESS, JobState.SUCCEEDED, JobState.FAILED, JobState.REJECTED}


def pending(book: Book, thing: str, *, now: datetime) -> dict[str, object]:
    """Return the summaries of what a thing has to do."""
    jobs = book.jobs(thing)
    return {
        "timestamp": _seconds(now),
        "inProgressJobs": [_summary(job) for job in jobs if job.state is JobState.IN_PROGRESS],
        "queuedJobs": [_summary(job) for job in jobs if job.state is JobState.QUEUED],
    }


def describe(book: Book, thing: str, job_id: str, *, now: datetime) -> dict[str, object]:
    """Return one job, or with ``$next`` what is to be done next (no ``execution`` where there is nothing).

    Raises:
        FleetDenied: There is no such job.
    """
    job = book.next_job(thing) if job_id == NEXT else book.job(thing, job_id)
    if job is None and job_id != NEXT:
        raise FleetDenied(f"{thing} has no job {job_id}", code="ResourceNotFound", status=404)
    return {"timestamp": _seconds(now), **({"execution": execution(job)} if job else {})}


def start_next(book: Book, thing: str, request: dict[str, object], *, now: datetime) -> dict[str, object]:
    """Begin what is to be done next, and return it."""
    with book.change():
        job = book.next_job(thing)
        if job is None:
            return {"timestamp": _seconds(now)}
        if job.state is JobState.QUEUED:
            job = replace(
                job,
                state=JobState.IN_PROGRESS,
                version=job.version + 1,
                details=_details(request),
                started_ms=epoch_ms(now),
                updated_ms=epoch_ms(now),
            )
            book.put(job)
    return {"timestamp": _seconds(now), "execution": execution(job)}


def update(book: Book, thing: str, job_id: str, request: dict[str, object], *, now: datetime) -> dict[str, object]:
    """Take what a thing says of its job.

    Raises:
        FleetDenied: There is no such job, it is finished, or the thing expected another version of it.
    """
    try:
        state = JobState(str(request.get("status")))
    except ValueError as error:
        raise FleetDenied(f"status {request.get('status')!r} is none", code="InvalidRequest") from error
    if state not in _BY_DEVICE:
        raise FleetDenied(f"status {state} is not a thing's to give", code="InvalidRequest")
    with book.change():
        job = book.job(thing, job_id)
        if job is None:
            raise FleetDenied(f"{thing} has no job {job_id}", code="ResourceNotFound", status=404)
        if job.state not in OPEN_STATES:
            raise FleetDenied(f"job {job_id} is {job.state}", code="InvalidStateTransition", status=409)
        expected = request.get("expectedVersion")
        if expected is not None and str(expected) != str(job.version):
            raise FleetDenied(f"job {job_id} has version {job.version}", code="VersionMismatch", status=409)
        job = replace(
            job,
            state=state,
            version=job.version + 1,
            details=_details(request) or job.details,
            started_ms=job.started_ms or epoch_ms(now),
            updated_ms=epoch_ms(now),
        )
        book.put(job)
    content: dict[str, object] = {"timestamp": _seconds(now)}
    if request.get("includeJobExecutionState"):
        content["executionState"] = {
            "status": job.state,
            "statusDetails": job.details,
            "versionNumber": job.version,
        }
    if request.get("includeJobDocument"):
        content["jobDocument"] = job.document
    return content


def execution(job: Job) -> dict[str, object]:
    """Return a job as the service tells it."""
    return {
        **_summary(job),
        "thingName": job.thing,
        "status": job.state,
        "statusDetails": job.details,
        "jobDocument": job.document,
    }


def _summary(job: Job) -> dict[str, object]:
    started = {"startedAt": job.started_ms // 1000} if job.started_ms is not None else {}
    return {
        "jobId": job.id,
        "queuedAt": job.queued_ms // 1000,
        "lastUpdatedAt": job.updated_ms // 1000,
        "executionNumber": 1,
        "versionNumber": job.version,
        **started,
    }


def _details(request: dict[str, object]) -> dict[str, str]:
    details = request.get("statusDetails") or {}
    if not isinstance(details, dict):
        raise FleetDenied("statusDetails must map texts to texts", code="InvalidRequest")
    for key, value in details.items():
        if not isinstance(value, str) or len(value) > DETAIL_CHARS_MAX:
            raise FleetDenied(f"statusDetails.{key} is no text of at most {DETAIL_CHARS_MAX}", code="InvalidRequest")
    return details


def _seconds(now: datetime) -> int:
    return epoch_ms(now) // 1000
