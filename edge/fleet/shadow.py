"""One named shadow: what the operator wants of the gateway, tried, and answered with what became of it.

A desired state is validated as a whole before anything of it is applied, and is answered as applied or rejected with
the reason; an invalid one never takes a running site down. It is always taken whole: what is no longer desired goes
back to what the site's file says, which a message of differences alone would never tell. While connected, each changed
document arrives; on each new connection it is fetched, so that neither a lost message nor a lost disk leaves the
gateway with settings that it has not reported. A version that is not newer than the last one answered is dropped. An
answer names the version that it is for: where the operator was faster it is refused, and the newer wish is fetched;
where it is taken, the version that it makes is known as our own, and not answered again. An answer that is refused for
any other reason (too many, too large) makes no version, so the next one is the operator's. A shadow that is deleted
desires nothing; one that is made anew counts its versions from 1, later than the last one that we saw.
Source: AWS IoT Core developer guide, Device Shadow MQTT topics and document syntax.
"""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from contracts.units import SiteId
from edge.errors import ConfigError, LinkError
from edge.links.link import Ack, Inbound, Link

log = logging.getLogger(__name__)

DOCUMENT_BYTES_MAX = 8 * 1024  # Source: AWS IoT Core quotas, shadow document size.
_REASON_CHARS_MAX = 300
_ANSWER = "answer"  # What is reported beside the settings.
# Source: AWS IoT Core developer guide, Device Shadow error messages.
_CONFLICT = 409
_TOO_LARGE = 413
_NOT_FOUND = 404

_KINDS = ("get/accepted", "get/rejected", "update/documents", "update/rejected", "delete/accepted")

Wanted = dict[str, Any]


class Apply(Protocol):
    """Brings a desired state into force."""

    def __call__(self, wanted: Wanted) -> None:
        """Take all that is desired, in place of what was desired before.

        Raises:
            ConfigError: It cannot be; nothing changed.
        """


class ShadowName(StrEnum):
    """The shadows that a gateway has."""

    CONFIG = "config"
    LIMITS = "limits"


class Outcome(StrEnum):
    """What became of a desired state."""

    APPLIED = "applied"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the gateway reported about one version."""

    version: int
    outcome: Outcome
    reason: str | None = None


class NamedShadow:
    """One shadow of one thing. The site hands it what arrives on its topics; it never waits."""

    def __init__(
        self,
        *,
        link: Link,
        thing: SiteId,
        name: ShadowName,
        apply: Apply,
    ) -> None:
        """Prepare.

        Args:
            link: Where answers go.
            thing: The site's name in the fleet.
            name: Which shadow.
            apply: Brings a desired state into force.
        """
        self._link = link
        self._prefix = f"$aws/things/{thing}/shadow/name/{name}"
        self._apply = apply
        self._answered_version = 0
        self._own_version: int | None = None
        self._seen_s = 0
        self._in_force = False
        self._reported_all = False
        self.last: Answer | None = None
        link.subscribe(self.topics())

    def topics(self) -> tuple[str, ...]:
        """Return what has to be subscribed."""
        return tuple(f"{self._prefix}/{kind}" for kind in _KINDS)

    def fetch(self) -> None:
        """Ask for the present state; call it whenever the link has come up, for changes of meanwhile are not kept.

        Raises:
            LinkError: There is no connection.
        """
        self._link.publish(f"{self._prefix}/get", b"{}")

    def arrived(self, message: Inbound) -> bool:
        """Take a message if it is for this shadow, answer it, and say whether it was."""
        if message.topic not in self.topics():
            return False
        kind = message.topic.removeprefix(f"{self._prefix}/")
        document = _object(message.payload)
        if kind == "update/rejected":
            self._refused(document)
            return True
        if kind == "delete/accepted" or (kind == "get/rejected" and document.get("code") == _NOT_FOUND):
            self._deleted()
            return True
        seen_s = document.get("timestamp")
        seen_s = seen_s if isinstance(seen_s, int) else self._seen_s
        if kind == "update/documents":
            document = _section(document, "current")
        state, version = document.get("state"), document.get("version")
        if not isinstance(state, dict) or not isinstance(version, int):
            return True
        if version < self._answered_version and seen_s > self._seen_s:
            # Made anew while we were away: its versions begin at 1 again.
            self._answered_version, self._own_version = 0, None
        self._seen_s = max(self._seen_s, seen_s)
        wanted = state.get("desired", {})
        if not isinstance(wanted, dict) or version <= self._answered_version or version == self._own_version:
            return True
        self._try(wanted, version, reported=_section(state, "reported"))
        return True

    def _refused(self, document: dict[str, Any]) -> None:
        log.warning("shadow answer refused", extra={"shadow": self._prefix, "reason": document.get("message")})
        # No version was made of it: the next one is the operator's, not our own.
        self._own_version = None
        if document.get("code") == _CONFLICT:
            with contextlib.suppress(LinkError):
                self.fetch()
        elif document.get("code") == _TOO_LARGE and self._reported_all and self.last is not None:
            self._report(self.last, {}, whole=False)
        elif self._answered_version:
            # Found unanswered by the next fetch, and answered then.
            self._answered_version -= 1

    def _deleted(self) -> None:
        """Take a shadow that is not there any more as one that desires nothing."""
        self._answered_version, self._own_version = 0, None
        if not self._in_force:
            return
        log.warning("shadow deleted", extra={"shadow": self._prefix})
        try:
            self._apply({})
            self._in_force = False
        except ConfigError as error:
            log.error("deleted shadow stays in force", extra={"shadow": self._prefix, "reason": str(error)})  # noqa: TRY400

    def _try(self, wanted: Wanted, version: int, *, reported: Wanted) -> None:
        """Apply a desired state and report what became of it; what was applied is all that stays reported."""
        try:
            self._apply(wanted)
            self._in_force = bool(wanted)
        except ConfigError as error:
            self._report(Answer(version=version, outcome=Outcome.REJECTED, reason=str(error)[:_REASON_CHARS_MAX]), {})
            return
        before = {key: value for key, value in reported.items() if key != _ANSWER}
        self._report(Answer(version=version, outcome=Outcome.APPLIED), _replacing(before, wanted))

    def _report(self, answer: Answer, applied: Wanted, *, whole: bool = True) -> None:
        self.last = answer
        self._reported_all = whole
        self._answered_version = answer.version
        self._own_version = answer.version + 1
        result = {"version": answer.version, "outcome": answer.outcome, "reason": answer.reason}
        payload = _answer_document({**applied, _ANSWER: result}, answer.version)
        if len(payload) > DOCUMENT_BYTES_MAX:
            payload = _answer_document({_ANSWER: result}, answer.version)
        log.info("shadow answered", extra={"shadow": self._prefix, **result})
        try:
            self._link.publish(f"{self._prefix}/update", payload).add_done_callback(self._sent)
        except LinkError as error:
            self._not_sent(error)

    def _sent(self, done: "asyncio.Future[Ack]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._not_sent(error)

    def _not_sent(self, error: BaseException) -> None:
        """Let the next fetch find the version unanswered: the difference stands until it is reported."""
        self._answered_version -= 1
        log.warning("shadow answer not sent", extra={"shadow": self._prefix, "reason": str(error)})


def _answer_document(reported: Wanted, version: int) -> bytes:
    return json.dumps({"state": {"reported": reported}, "version": version}).encode()


def _replacing(before: Wanted, after: Wanted) -> Wanted:
    """Return the change that makes one state of another: ``null`` removes, an object is merged."""
    change: Wanted = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        inner = before.get(key)
        change[key] = _replacing(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return change


def _section(document: Wanted, name: str) -> Wanted:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _object(payload: bytes) -> dict[str, Any]:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
