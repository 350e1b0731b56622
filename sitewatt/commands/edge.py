"""``sitewatt edge``: the gateway."""

from pathlib import Path
from typing import Annotated

import typer

from sitewatt.commands import edge_setup

app = typer.Typer(help="The gateway: run it, set it up, check a configuration.", no_args_is_help=True)
edge_setup.register(app)

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The site's configuration (YAML).")]


@app.command()
def run(
    config: ConfigOption,
    clock: Annotated[str | None, typer.Option(metavar="SPEC", help="A scaled clock; the machine's by default.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from edge.__main__ import main

    arguments = ["run", "--config", str(config), "--log-level", log_level]
    raise typer.Exit(main(arguments + (["--clock", clock] if clock else [])))
