"""``sitewatt edge``: the gateway."""

from pathlib import Path
from typing import Annotated

import typer

from sitewatt.output import BAD_INPUT, fail, print_json

app = typer.Typer(help="The gateway: run it, check a configuration.", no_args_is_help=True)

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


@app.command()
def check(config: ConfigOption, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Check a configuration without touching a device: every key, every profile, every limit."""
    from edge.config import load_config
    from edge.errors import ConfigError

    try:
        site = load_config(config)
    except ConfigError as error:
        fail(str(error), code="config", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({"site": site.site.id, "devices": [device.id for device in site.devices], "ok": True})
    else:
        typer.echo(f"{config}: site {site.site.id} with {len(site.devices)} devices is well-formed")
