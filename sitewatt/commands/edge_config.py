"""The site's file as commands take it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.errors import ConfigError
from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from edge.config import SiteConfig

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The site's configuration (YAML).")]


def load_site(config: Path, *, as_json: bool) -> "SiteConfig":
    """Return the site of a file; one that cannot be used ends the command with 2."""
    from edge.config import load_config

    try:
        return load_config(config, otherwise=None)
    except ConfigError as error:
        fail(str(error), code="config", as_json=as_json, exit_code=BAD_INPUT)
