"""What a check found: how bad it is, in one sentence, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is: nothing, something to know, something that keeps the site from working."""

    GOOD = "good"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a check.

    Args:
        check: Which check it is: ``schema``, ``device``, ``bus`` and so on.
        subject: What was looked at: a device's id, a bus, a path.
        said: What was found, in one sentence.
        do: What the installer does now; empty where nothing is to be done.
    """

    check: str
    subject: str
    grade: Grade
    said: str
    do: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding for programs."""
        return {name: str(value) for name, value in asdict(self).items()}


def good(check: str, subject: str, said: str) -> Finding:
    """Return a finding with which nothing is wrong."""
    return Finding(check=check, subject=subject, grade=Grade.GOOD, said=said)


def warning(check: str, subject: str, said: str, *, do: str) -> Finding:
    """Return a finding that the installer should know; the site works."""
    return Finding(check=check, subject=subject, grade=Grade.WARNING, said=said, do=do)


def failed(check: str, subject: str, said: str, *, do: str) -> Finding:
    """Return a finding that keeps the site, or a part of it, from working."""
    return Finding(check=check, subject=subject, grade=Grade.FAILED, said=said, do=do)


def is_sound(findings: Iterable[Finding]) -> bool:
    """Return whether nothing failed; warnings are allowed."""
    return all(finding.grade is not Grade.FAILED for finding in findings)
