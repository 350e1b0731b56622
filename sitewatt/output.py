"""How every command answers: text for people, JSON for programs, one sentence for a failure."""

import contextlib
import errno
import json
import math
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import typer

from contracts.units import printable

LINE_CHARACTERS_MAX = 2000
FAILED = 1
BAD_INPUT = 2
FIRST_YEAR, LAST_YEAR = 1970, 2199  # Of days and months that a command takes; beyond them dates end.
TOO_SLOW = 3  # This machine could not keep up; nothing failed.
INTERRUPTED = 130  # What a shell says of a command that Ctrl-C ended,
TERMINATED = 143  # and of one that SIGTERM did.
_FLOAT32_MAX = 3.4e38


def tell(text: str, *, err: bool = False, line_characters_max: int = LINE_CHARACTERS_MAX) -> None:
    """Write lines for people, harmless to their terminal: what devices and peers call themselves may stand in them."""
    with _a_place_to_write():
        for line in text.split("\n"):
            typer.echo(printable(line, line_characters_max), err=err)


def print_json(answer: Any) -> None:
    """Write an answer for programs to standard output; in ASCII, since a person may look at it too."""
    with _a_place_to_write():
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def _a_place_to_write() -> Iterator[None]:
    """End the command with a sentence where its output takes nothing more, as a file on a full disk.

    A pipe that was closed is left to the library, which ends quietly.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # The interpreter writes what is left once more at its end.
        with contextlib.suppress(OSError):
            sys.stderr.write(f"sitewatt: the answer could not be written: {error.strerror}\n")
        raise typer.Exit(FAILED) from error


def fail(sentence: str, *, code: str, as_json: bool, exit_code: int = FAILED, **fields: Any) -> NoReturn:
    """End the command with a sentence on standard error, or ``{"error": …}`` on standard output for programs."""
    if as_json:
        print_json({"error": {"code": code, "message": sentence, **fields}})
    else:
        tell(sentence, err=True)
    raise typer.Exit(exit_code)


def as_told(value: object) -> str:
    """Return a value as text, a number with no more digits than its register tells.

    One from a 32-bit float gets the fewest digits that mean the same float, any other ten.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if abs(value) > _FLOAT32_MAX or _as_float32(value) != value:
        return f"{value:.10g}"
    shortest = next(told for digits in range(1, 18) if _as_float32(told := float(f"{value:.{digits}g}")) == value)
    return f"{shortest:.10g}"


def _as_float32(value: float) -> float:
    told: float = struct.unpack("f", struct.pack("f", value))[0]
    return told
