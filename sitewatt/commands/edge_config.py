"""The site's file as commands take it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.errors import ConfigError
from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from edge.config import SiteConfig

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The site's configuration (YAML).")]


def load_site(config: Path, *, as_json: bool, otherwise: str | None = None) -> "SiteConfig":
    """Return the site of a file; one that cannot be used ends the command with 2, and with all that is wrong in it."""
    from edge.config import load_config

    try:
        return load_config(config, otherwise=otherwise)
    except ConfigError as error:
        faults = list(error.faults)
        sentence = str(error)
        if len(faults) > 1 and not as_json:
            end = "" if otherwise is None else f"; {otherwise}"
            rest = "rules between sections are checked once these are right"
            sentence = "\n".join([f"{config} has {len(faults)} faults{end}; {rest}:", *(f"  {one}" for one in faults)])
        fail(sentence, code="config", as_json=as_json, exit_code=BAD_INPUT, **({"faults": faults} if faults else {}))
