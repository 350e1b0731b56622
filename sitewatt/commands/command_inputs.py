"""What every order command is given (broker, key, clock, durations), and one sentence where it cannot be used."""

import contextlib
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from contracts.clock import Clock, parse_clock
from contracts.faults import bound_of
from sitewatt.durations import duration
from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from edge.links.settings import LinkSettings
    from sitewatt.operator.book import Book

STAGES = ("accepted", "applied", "effective", "completed", "none")

AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Broker = Annotated[str, typer.Option("--broker", metavar="URL", help="mqtt://HOST:1883 or mqtts://HOST:8883.")]
Zone = Annotated[str, typer.Option("--zone", help="The price area that the site belongs to.")]
Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key (PEM); what was sent stands beside it.")]
Issuer = Annotated[str, typer.Option("--issuer", help="The name by which the site trusts the key.")]
Wait = Annotated[str | None, typer.Option("--wait", metavar="STAGE", help=", ".join(STAGES))]
Timeout = Annotated[float, typer.Option("--timeout", min=0.5, max=3600, help="Real seconds to wait.")]
ClockSpec = Annotated[str | None, typer.Option("--clock", metavar="SPEC", help="A scaled clock; the machine's else.")]
Ca = Annotated[Path | None, typer.Option("--ca-file", help="The broker's authority.")]
Cert = Annotated[Path | None, typer.Option("--cert-file", help="This client's certificate.")]
CertKey = Annotated[Path | None, typer.Option("--cert-key-file", help="The certificate's key.")]
User = Annotated[str | None, typer.Option("--username", help="User at the broker.")]
Password = Annotated[Path | None, typer.Option("--password-file", help="File with the password.")]
Mqtt = Annotated[str, typer.Option("--protocol", help="5 or 3.1.1.")]


def link_settings(
    broker: str,
    protocol: str,
    ca_file: Path | None,
    cert_file: Path | None,
    cert_key_file: Path | None,
    username: str | None,
    password_file: Path | None,
    *,
    as_json: bool,
) -> "LinkSettings":
    """Return how to reach the broker, or end with a sentence."""
    from edge.links.settings import LinkSettings

    try:
        return LinkSettings.model_validate(
            {
                "url": broker,
                "protocol": protocol,
                "ca_file": ca_file,
                "cert_file": cert_file,
                "key_file": cert_key_file,
                "username": username,
                "password_file": password_file,
                "session_expiry_s": 0,
                "reconnect_s_min": 0.2,
                "reconnect_s_max": 2.0,
                "throttle": False,
            }
        )
    except ValidationError as error:
        bound = bound_of(error.errors(include_url=False)[0])
        fail(f"broker: {bound}", code="bad_broker", as_json=as_json, exit_code=BAD_INPUT)


def clock_of(spec: str | None, *, as_json: bool) -> Clock:
    """Return the clock of a specification, or end with a sentence."""
    try:
        return parse_clock(spec)
    except ValueError as error:
        fail(str(error), code="bad_clock", as_json=as_json, exit_code=BAD_INPUT)


def length_of(text: str, *, as_json: bool) -> timedelta:
    """Return a duration as the operator writes it, or end with a sentence."""
    try:
        return duration(text)
    except ValueError as error:
        fail(str(error), code="bad_duration", as_json=as_json, exit_code=BAD_INPUT)


def book_of(key_path: Path) -> "Book":
    """Return the book of what was sent with a key."""
    from sitewatt.operator.book import Book

    return Book(key_path)


@contextlib.contextmanager
def one_sentence(as_json: bool) -> Iterator[None]:
    """End with one sentence where a key, a book, the broker or an argument cannot be used."""
    from edge.errors import ConfigError
    from sitewatt.operator.post import NoAnswer

    # A broker that cannot be reached is our answer, not a line of a gateway's log.
    logging.getLogger("edge.links").setLevel(logging.CRITICAL)
    try:
        yield
    except NoAnswer as error:
        fail(str(error), code="no_answer", as_json=as_json)
    except (ConfigError, ValueError) as error:
        fail(str(error), code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)
