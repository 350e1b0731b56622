"""``sitewatt command keys``: the keys that sign orders, made, shown, and trusted by a site."""

from pathlib import Path
from typing import Annotated

import typer

from sitewatt.commands.command_inputs import AsJson, Issuer, one_sentence
from sitewatt.output import BAD_INPUT, fail, print_json

app = typer.Typer(help="The keys that sign orders.", no_args_is_help=True)


@app.command("new")
def keys_new(path: Annotated[Path, typer.Argument(metavar="FILE")], as_json: AsJson = False) -> None:
    """Make a private key that only its owner may read, and show its public key."""
    from sitewatt.operator.keys import make_key

    with one_sentence(as_json):
        public = make_key(path)
    _show_key(path, public, as_json=as_json)


@app.command("show")
def keys_show(path: Annotated[Path, typer.Argument(metavar="FILE")], as_json: AsJson = False) -> None:
    """Show the public key of a private one, as a site's configuration has it."""
    from sitewatt.operator.keys import load_key, public_key

    with one_sentence(as_json):
        public = public_key(load_key(path))
    _show_key(path, public, as_json=as_json)


@app.command("trust")
def keys_trust(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A private or a public key (PEM), or base64.")],
    issuer: Issuer,
    role: Annotated[str, typer.Option(help="grid_operator, aggregator, owner or installer.")],
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Add it to this site's configuration.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what makes a site trust a key, or add it to the site's configuration, which the gateway reads at start."""
    from edge.config import IssuerRole, load_config
    from edge.errors import ConfigError
    from sitewatt.operator.keys import TrustRefused, add_trust, load_public_key, trust_yaml

    if role not in set(IssuerRole):
        fail(f"{role!r} is none of {', '.join(IssuerRole)}", code="bad_role", as_json=as_json, exit_code=BAD_INPUT)
    with one_sentence(as_json):
        public = load_public_key(path)
    if config is None and as_json:
        print_json({"issuer": issuer, "role": role, "public_key": public})
        return
    if config is None:
        typer.echo(trust_yaml(issuer=issuer, role=role, public=public), nl=False)
        return
    try:
        add_trust(config, issuer=issuer, role=role, public=public, check=load_config)
    except (TrustRefused, ConfigError) as error:
        fail(f"{config} was not changed: {error}", code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        sentence = f"{config} was not changed: {error.strerror}"
        fail(sentence, code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({"config": str(config), "issuer": issuer, "role": role, "public_key": public})
    else:
        typer.echo(f"{config} trusts {issuer} as {role}; restart the gateway")


def _show_key(path: Path, public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": str(path), "public_key": public})
    else:
        typer.echo(public)
