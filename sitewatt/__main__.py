"""The command ``sitewatt``: one file of ``sitewatt.commands`` answers for each group."""

import importlib
import io
import os
import shutil
import sys
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from domain.one_thread import in_one_thread
from sitewatt import extras, narrow_help, systems
from sitewatt.output import BAD_INPUT, FAILED, INTERRUPTED, tell
from sitewatt.plain_refusals import PlainRefusals

GROUPS = ("edge", "device", "profile", "sim", "fleet", "command", "market", "forecast", "tariff", "cloud", "agent")
SINGLES = ("demo", "plan")

app = typer.Typer(
    name="sitewatt",
    cls=PlainRefusals,
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
    """Add every command. Their files import what is heavy only when one runs."""
    for name in GROUPS:
        app.add_typer(importlib.import_module(f"sitewatt.commands.{name}").app, name=name)
    for name in SINGLES:
        app.command(name=name)(getattr(importlib.import_module(f"sitewatt.commands.{name}"), name))


def _say_whole(command: Any) -> None:
    """Have a list of commands show what each does in full, where the library would cut it at the line's end."""
    for one in getattr(command, "commands", {}).values():
        if one.help and not one.short_help:
            one.short_help = " ".join(one.help.split("\n\n")[0].split())
        _say_whole(one)


def command_line(columns: int) -> Any:
    """Return the whole command line, with help for a terminal of so many columns."""
    register()
    command = typer.main.get_command(app)
    narrow_help.fit(command, columns)
    _say_whole(command)
    return command


def main() -> None:
    """Run the command line; exit 0 done, 1 it failed, 2 bad arguments or configuration."""
    in_one_thread(os.environ)  # Before a command loads numpy.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # What the terminal's letters cannot show is shown as "?".
            stream.reconfigure(errors="replace")
    if (sentence := systems.refusal_of(sys.platform, sys.argv[1:])) is not None:
        _end(sentence, FAILED)
    if (sentence := extras.refusal_of(sys.argv[1:])) is not None:
        _end(sentence, BAD_INPUT)
    try:
        command_line(shutil.get_terminal_size().columns)()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RuntimeError as error:  # Python wraps a Ctrl-C that comes while it builds a class.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from None
        _end_where_a_part_is_absent(error)
        raise
    except Exception as error:  # Any library may be missing, or ask for what only Linux has.
        _end_where_a_part_is_absent(error)
        raise


def _end_where_a_part_is_absent(error: Exception) -> None:
    if (sentence := systems.absence_of(sys.platform, error)) is not None:
        _end(sentence, FAILED)
    if (sentence := extras.absence_of(error, sys.argv[1:])) is not None:
        _end(sentence, BAD_INPUT)


def _end(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(f"sitewatt: {sentence}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
