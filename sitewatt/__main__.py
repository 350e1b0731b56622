"""The command ``sitewatt``: one file of ``sitewatt.commands`` answers for each group."""

import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from sitewatt.output import FAILED, INTERRUPTED, tell

GROUPS = ("edge", "device", "profile", "sim", "fleet", "command", "market", "forecast", "tariff", "cloud", "agent")
SINGLES = ("demo", "plan", "bench")
# What works with processes, sockets and serial lines of a Unix; the others compute, and try anywhere.
_PROCESSES = frozenset({"edge", "device", "sim", "fleet", "command", "cloud", "agent", "demo", "bench"})
_UNIX_ALONE = frozenset({"fcntl", "grp", "pwd", "resource", "termios"})
_INSTEAD = "on Windows run it in WSL (`wsl --install`), where everything is as on Linux"

app = typer.Typer(
    name="sitewatt",
    help="Edge controller for energy sites, with a link to a cloud market.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # As wide as the terminal, up to where lines can still be followed.
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 160},
)


def _say_version(asked: bool) -> None:
    if asked:
        tell(f"sitewatt {version('sitewatt')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Edge controller for energy sites, with a link to a cloud market."""


@cache
def register() -> None:
    """Add every command whose file exists. The files import what is heavy only when a command runs."""
    for name in GROUPS:
        if importlib.util.find_spec(f"sitewatt.commands.{name}"):
            app.add_typer(importlib.import_module(f"sitewatt.commands.{name}").app, name=name)
    for name in SINGLES:
        if importlib.util.find_spec(f"sitewatt.commands.{name}"):
            app.command(name=name)(getattr(importlib.import_module(f"sitewatt.commands.{name}"), name))


def _say_whole(command: Any) -> None:
    """Have a list of commands show what each does in full, where the library would cut it at the line's end."""
    for one in getattr(command, "commands", {}).values():
        if one.help and not one.short_help:
            one.short_help = " ".join(one.help.split("\n\n")[0].split())
        _say_whole(one)


def main() -> None:
    """Run the command line; exit 0 done, 1 it failed, 2 bad arguments or configuration."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # What the terminal's letters cannot show is shown as "?".
            stream.reconfigure(errors="replace")
    if (sentence := refusal_of(os.name, sys.argv[1:])) is not None:
        _end(sentence)
    try:
        register()
        command = typer.main.get_command(app)
        _say_whole(command)
        command()
    except ModuleNotFoundError as error:
        if error.name not in _UNIX_ALONE:
            raise
        _end(f"this command needs {error.name}, which this system has not; {_INSTEAD}")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RuntimeError as error:  # Python wraps a Ctrl-C that comes while it builds a class.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        raise SystemExit(INTERRUPTED) from None


def refusal_of(system: str, arguments: Sequence[str]) -> str | None:
    """Return why a command cannot run on a system, ``None`` where it can try.

    Args:
        system: As ``os.name`` has it: ``posix`` for Linux and macOS, ``nt`` for Windows.
        arguments: Of the command line.
    """
    asked = next((one for one in arguments if not one.startswith("-")), "")
    if system == "posix" or asked not in _PROCESSES or {"-h", "--help"} & set(arguments):
        return None
    return f"`sitewatt {asked}` starts processes and talks to devices as Linux and macOS do it; {_INSTEAD}"


def _end(sentence: str) -> NoReturn:
    sys.stderr.write(f"sitewatt: {sentence}\n")
    raise SystemExit(FAILED)


if __name__ == "__main__":
    main()
