"""What every function needs, built once a process from its environment, or installed by whoever runs the functions.

In AWS: ``SITEWATT_STORE`` and its companions (see ``cloud.stores.setup``), ``SITEWATT_ISSUER``, and the issuer's key in
``SITEWATT_SIGNING_KEY_FILE`` or the Secrets Manager secret ``SITEWATT_SIGNING_KEY_SECRET``; a function that signs
nothing is told so by ``SITEWATT_SIGNING=none``. ``SITEWATT_REGISTRY_FILE`` names who takes part; without it the store
does.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from cloud.errors import SetupError
from cloud.shell.publishing import IotPublisher, Publisher
from cloud.shell.signing import Signer, read_signer, read_signer_file
from cloud.stores.registry import Registry, load_registry, load_registry_file
from cloud.stores.setup import Stores, open_stores
from contracts.control import Command

SIGNS_NOTHING: Final = "none"


class NoSigner:
    """In the place of a signer, for functions that command nobody and so are not given the key."""

    issuer: Final = ""

    def sign(self, command: Command) -> Command:
        """Refuse.

        Raises:
            SetupError: Always; nothing was signed.
        """
        raise SetupError(f"command {command.command_id} cannot be signed: this function is not given the key")


@dataclass(frozen=True, kw_only=True)
class Services:
    """The stores, the way to the sites, the key and the register of who takes part.

    ``memory`` holds what a warm process may keep between calls, by name; losing it costs time and nothing else.
    """

    stores: Stores
    registry: Registry
    publisher: Publisher
    signer: Signer | NoSigner
    memory: dict[str, object] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


class _Current:
    services: Services | None = None
    lock = Lock()


def install(services: Services | None) -> None:
    """Let the functions of this process use services that somebody else has built (``None``: build it anew)."""
    _Current.services = services


def current() -> Services:
    """Return the services of this process.

    Raises:
        SetupError: The environment is incomplete.
        StoreError: The store cannot be opened.
    """
    with _Current.lock:
        if _Current.services is None:
            _Current.services = build(os.environ)
        return _Current.services


def build(environ: Mapping[str, str]) -> Services:
    """Build the services from an environment.

    Raises:
        SetupError: A setting is missing or wrong.
        StoreError: The store cannot be opened.
    """
    import boto3

    stores = open_stores(environ)
    registry_file = environ.get("SITEWATT_REGISTRY_FILE")
    return Services(
        stores=stores,
        registry=load_registry_file(Path(registry_file)) if registry_file else load_registry(stores.tables),
        publisher=IotPublisher(boto3.client("iot-data")),
        signer=_signer(environ),
    )


def _signer(environ: Mapping[str, str]) -> Signer | NoSigner:
    if environ.get("SITEWATT_SIGNING") == SIGNS_NOTHING:
        return NoSigner()
    issuer = environ.get("SITEWATT_ISSUER", "grid-agent")
    if path := environ.get("SITEWATT_SIGNING_KEY_FILE"):
        return read_signer_file(issuer=issuer, path=Path(path))
    if secret := environ.get("SITEWATT_SIGNING_KEY_SECRET"):
        import boto3

        pem = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        return read_signer(issuer=issuer, pem=pem.encode(), where=f"secret {secret}")
    raise SetupError(
        "neither SITEWATT_SIGNING_KEY_FILE nor SITEWATT_SIGNING_KEY_SECRET is set; no command can be signed"
    )
