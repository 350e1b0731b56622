"""What set-up asks about a charging station that speaks OCPP: it calls us, so nobody is scanned."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge.devices.phases import PHASE_V
from edge.errors import ConfigError
from edge.ocpp.settings import LEAST_A, OcppSettings
from edge.private_files import private_folder, write_whole
from edge.setup.console import Console

TARGET: Final = "ocpp:"  # What stands before a station's identity where others name a host.
_ANYBODY: Final = re.compile(r"[A-Za-z0-9*_=+|@.-]{1,48}")
_PASSWORD_BYTES: Final = 16
_PHASES: Final = {"1": [1], "2": [1, 2], "3": [1, 2, 3]}


def describe_station(
    console: Console, *, station: str, state_dir: Path, name_complaint: Callable[[str], str | None], name: str
) -> dict[str, Any]:
    """Return the section of a station, and leave a password for it in a file that nobody else can read.

    Args:
        station: Its identity.
        state_dir: Where the password is put; one that is there stands.
        name: What it is called unless the installer says otherwise.

    Raises:
        ConfigError: The identity is none, or the password cannot be written.
    """
    if _ANYBODY.fullmatch(station) is None:
        raise ConfigError(f"{station!r} is no identity of a station: letters, digits, * - _ = + | @ and . , at most 48")
    name = console.ask("Its name", default=name, check=name_complaint)
    phases = console.choose("How many phases it is wired to", list(_PHASES), default="3")
    most = float(console.ask("The most that it may have, A per phase", default="16", check=_current))
    alone = float(console.ask("What it goes on with when the gateway is dead, A per phase", default="6", check=_safe))
    path = _password(state_dir, station)
    console.say(f"In its menu: address ws://THIS-GATEWAY:{OcppSettings().port}/, identity {station}.")
    console.say(f"Its password stands in {path}; type it there.")
    return {
        "id": name,
        "role": "load",
        "load": {"rated_w": round(most * PHASE_V * len(_PHASES[phases]))},
        **({} if phases == "3" else {"phases": _PHASES[phases]}),
        "ocpp": {"station": station, "password_file": str(path), "max_a": most, "fallback_a": min(alone, most)},
    }


def _password(state_dir: Path, station: str) -> Path:
    path = state_dir / f"station-{station}.password"
    try:
        if not path.exists():
            private_folder(state_dir)
            write_whole(path, secrets.token_hex(_PASSWORD_BYTES).encode() + b"\n", as_folder=True)
    except OSError as error:
        raise ConfigError(f"set-up: {path} cannot be written: {error.strerror}; nothing was written") from error
    return path


def _current(text: str) -> str | None:
    return None if _number(text) is not None and LEAST_A <= float(text) <= 80 else "a number of A from 6 to 80"


def _safe(text: str) -> str | None:
    number = _number(text)
    fits = number is not None and (number == 0 or LEAST_A <= number <= 80)
    return None if fits else "0, or a number of A from 6 to 80"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
