"""What the device commands share: their options, what is said while they work, how a failure ends them."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt.output import BAD_INPUT, fail

JsonOption = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="P", help="Its register map; see `sitewatt profile list`.")
]
ProfilesOption = Annotated[Path | None, typer.Option("--profiles", help="A folder whose profiles go before ours.")]


def is_watched() -> bool:
    """Return whether a person sees what is said beside the answer."""
    return sys.stderr.isatty()


class Progress:
    """One line at a person's terminal that says how far the work is, and makes room for each answer."""

    def __init__(self) -> None:
        self._shown = 0

    def show(self, text: str) -> None:
        """Say how far it is, in place of what was said before."""
        if is_watched():
            typer.echo(f"\r{text:{self._shown}}", nl=False, err=True)
            self._shown = len(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            typer.echo(f"\r{'':{self._shown}}\r", nl=False, err=True)
            self._shown = 0


def load(name: str, profiles: Path | None, as_json: bool) -> Any:
    """Return a profile; one that is not there or is broken ends the command with a sentence."""
    from edge.devices.catalogue import load_profile

    return checked(lambda: load_profile(name, profiles), as_json)


def checked(work: Callable[[], Any], as_json: bool) -> Any:
    """Return what the work returns; a wrong argument ends the command with a sentence."""
    from edge.errors import ConfigError

    try:
        return work()
    except ConfigError as error:
        fail(str(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)


def run(work: Callable[[], Coroutine[Any, Any, Any]], as_json: bool) -> Any:
    """Run what talks to devices; what goes wrong on the way ends the command with a sentence."""
    from edge.devices.offline import refusal
    from edge.errors import ConfigError, DeviceError, DeviceRefused, ValueRefused

    try:
        return asyncio.run(work())
    except ConfigError as error:
        fail(str(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    except ValueRefused as error:
        said = refusal(error)["error"]
        fail(str(error), code=said["code"], as_json=as_json, reason=said["reason"])
    except DeviceRefused as error:
        fail(str(error), code="device_refused", as_json=as_json, exception_code=error.exception_code)
    except DeviceError as error:
        fail(str(error), code="device_silent", as_json=as_json)
