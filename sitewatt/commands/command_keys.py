"""``sitewatt command keys``: the keys that sign orders, made, shown, and trusted by a site."""

import base64
from pathlib import Path
from typing import Annotated

import typer

from sitewatt.commands.command_inputs import AsJson, Issuer, one_sentence
from sitewatt.output import BAD_INPUT, fail, print_json, tell

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
    also: Annotated[bool, typer.Option("--also", help="Another key of an issuer that is trusted already.")] = False,
    valid_from: Annotated[str | None, typer.Option(metavar="INSTANT", help="2027-01-01T00:00:00Z; at once.")] = None,
    valid_until: Annotated[str | None, typer.Option(metavar="INSTANT", help="The same; for good.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what makes a site trust a key, or add it to the site's configuration, which the gateway reads at start.

    To change a key: `keys new`, then `keys trust --also` on each site, sign with the new key, take the old entry out.
    """
    from edge.config import load_config
    from edge.control.keys import Role
    from edge.errors import ConfigError
    from sitewatt.operator.keys import TrustRefused, add_trust, load_public_key, trust_entry, trust_yaml

    if role not in set(Role):
        fail(f"{role!r} is none of {', '.join(Role)}", code="bad_role", as_json=as_json, exit_code=BAD_INPUT)
    with one_sentence(as_json):
        public = load_public_key(path)
    entry = trust_entry(issuer=issuer, role=role, public=public, valid_from=valid_from, valid_until=valid_until)
    if config is None and as_json:
        print_json(entry)
        return
    if config is None:
        typer.echo(trust_yaml(entry), nl=False)
        return
    try:
        add_trust(config, entry, check=load_config, also=also)
    except (TrustRefused, ConfigError) as error:
        fail(f"{config} was not changed: {error}", code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        sentence = f"{config} was not changed: {error.strerror}"
        fail(sentence, code="not_trusted", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({"config": str(config), **entry})
    else:
        tell(f"{config} trusts {issuer} as {role}; restart the gateway")


def _show_key(path: Path, public: str, *, as_json: bool) -> None:
    from contracts.control import key_id

    if as_json:
        print_json({"key": str(path), "public_key": public, "key_id": key_id(base64.b64decode(public))})
    else:
        tell(public)
