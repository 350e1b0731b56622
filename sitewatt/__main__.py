"""The command ``sitewatt``: one file of ``sitewatt.commands`` answers for each group."""

import importlib
import importlib.util
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any

import typer

GROUPS = ("edge", "device", "profile", "sim", "fleet", "command", "market", "forecast", "tariff", "cloud", "agent")
SINGLES = ("demo", "plan", "bench")

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
        typer.echo(f"sitewatt {version('sitewatt')}")
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
    register()
    command = typer.main.get_command(app)
    _say_whole(command)
    command()


if __name__ == "__main__":
    main()
