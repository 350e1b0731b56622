"""Which extra of the package brings what a command misses: one sentence where a library is not installed."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Final

_OURS: Final = frozenset(
    {"contracts", "domain", "device_profiles", "tariffs", "page_parts", "edge", "cloud", "firmware_sim", "sitewatt"}
)
# What each command's extra is; the longest words that a command begins with decide.
_EXTRAS: Final[Mapping[tuple[str, ...], str]] = {
    ("edge",): "edge",
    ("device",): "edge",
    ("profile",): "edge",
    ("plan",): "edge",
    ("command",): "edge",
    ("command", "evidence"): "edge,cloud",
    ("forecast",): "edge",
    ("fleet",): "edge,local",
    ("market",): "cloud",
    ("cloud",): "local",
    ("cloud", "page"): "agents,local",
    ("agent",): "agents,local",
    ("sim",): "demo",
    ("sim", "station"): "ocpp",
    ("demo",): "demo",
}
_ALONE: Final = frozenset({("plan",), ("demo",)})
# They start processes, each of which would miss it by itself.
_BEFORE_PROCESSES: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("edge", "run"): ("cryptography", "pymodbus"),
    ("cloud", "local"): ("aiomqtt", "boto3"),
}


def refusal_of(arguments: Sequence[str]) -> str | None:
    """Return why a command that starts processes need not try, ``None`` for every other."""
    if {"-h", "--help"} & set(arguments):
        return None
    libraries = _BEFORE_PROCESSES.get(_words(arguments), ())
    missing = next((name for name in libraries if importlib.util.find_spec(name) is None), None)
    return None if missing is None else _sentence(missing, arguments)


def absence_of(error: BaseException, arguments: Sequence[str]) -> str | None:
    """Return the sentence about a library that is not installed, ``None`` for ours and for other errors.

    Args:
        error: What ended the command.
        arguments: Of the command line.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    library = error.name.partition(".")[0]
    return None if library in _OURS else _sentence(library, arguments)


def extra_of(arguments: Sequence[str]) -> str:
    """Return the extra, or the extras with commas, that bring what a command needs."""
    words = _words(arguments)
    return next((extra for length in (2, 1) if (extra := _EXTRAS.get(words[:length]))), "demo,agents")


def _words(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the words that name the command, two of a group and one of the others."""
    words = tuple(word for word in arguments if not word.startswith("-"))
    return words[:1] if words[:1] in _ALONE else words[:2]


def _sentence(library: str, arguments: Sequence[str]) -> str:
    command = " ".join(_words(arguments))
    return (
        f"`sitewatt {command}` needs {library}, which is not installed; "
        f"install sitewatt with it: 'sitewatt[{extra_of(arguments)}]'"
    )
