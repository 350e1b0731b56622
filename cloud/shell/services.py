"""What every function needs, built once a process from its environment, or installed by whoever runs the functions.

In AWS: ``SITEWATT_STORE`` and its companions (see ``cloud.stores.setup``), ``SITEWATT_ISSUER``, and the issuer's key in
``SITEWATT_SIGNING_KEY_FILE`` or the Secrets Manager secret ``SITEWATT_SIGNING_KEY_SECRET``; a function that signs
nothing is told so by ``SITEWATT_SIGNING=none``. ``SITEWATT_REGISTRY_FILE`` names who takes part; without it the store
does. ``SITEWATT_FEATURES`` says where the switches lie (see ``cloud.stores.features``).
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Final

from cloud.errors import CloudError, SetupError
from cloud.shell.publishing import IotPublisher, Publisher
from cloud.shell.signing import Signer, read_signer, read_signer_file
from cloud.stores.features import Features, named
from cloud.stores.registry import Registry, load_registry, load_registry_file
from cloud.stores.setup import Stores, open_stores
from cloud.stores.tables import Tables
from contracts.control import Command

LOG: Final = logging.getLogger(__name__)
SIGNS_NOTHING: Final = "none"
# Lambda keeps a process for hours: without a second look a site that joins today would be refused until it ends, and a
# key that was replaced, because somebody else had it, would go on signing.
REGISTRY_AGE_S_MAX: Final = 60.0


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
    ``reread`` reads the registry as it is now, ``resign`` the key; without them what was given stands. ``features``
    says what is switched off, by default nothing.
    """

    stores: Stores
    registry: Registry
    publisher: Publisher
    signer: Signer | NoSigner
    reread: Callable[[], Registry] | None = None
    resign: Callable[[], Signer | NoSigner] | None = None
    memory: dict[str, object] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    features: Callable[[], Features] = Features

    def newest_registry(self) -> Registry:
        """Return the register as it is now.

        Raises:
            CloudError: It cannot be read.
        """
        return self.registry if self.reread is None else self.reread()


class _Current:
    services: Services | None = None
    read_s = 0.0  # When the registry was read last, monotonic.
    lock = Lock()


def install(services: Services | None) -> None:
    """Let the functions of this process use services that somebody else has built (``None``: build it anew)."""
    _Current.services, _Current.read_s = services, time.monotonic()


def current() -> Services:
    """Return the services of this process, with the registry as it was at most ``REGISTRY_AGE_S_MAX`` ago.

    Raises:
        SetupError: The environment is incomplete.
        StoreError: The store cannot be opened.
    """
    with _Current.lock:
        now_s = time.monotonic()
        if _Current.services is None:
            _Current.services, _Current.read_s = build(os.environ), now_s
        elif _Current.services.reread is not None and now_s - _Current.read_s > REGISTRY_AGE_S_MAX:
            _Current.services, _Current.read_s = _read_again(_Current.services), now_s
        return _Current.services


def _read_again(services: Services) -> Services:
    """Return services with registry and key as they are now; what cannot be read is what it was a minute ago."""
    try:
        services = replace(services, registry=services.newest_registry())
    except CloudError as error:
        LOG.warning("registry not read again", extra={"error": str(error)})
    try:
        return services if services.resign is None else replace(services, signer=services.resign())
    except CloudError as error:
        LOG.warning("signing key not read again", extra={"error": str(error)})
        return services


def _registry(environ: Mapping[str, str], tables: Tables) -> Registry:
    path = environ.get("SITEWATT_REGISTRY_FILE")
    return load_registry_file(Path(path)) if path else load_registry(tables)


def build(environ: Mapping[str, str]) -> Services:
    """Build the services from an environment.

    Raises:
        SetupError: A setting is missing or wrong.
        StoreError: The store cannot be opened.
    """
    import boto3

    stores = open_stores(environ)

    def reread() -> Registry:
        return _registry(environ, stores.tables)

    def resign() -> Signer | NoSigner:
        return _signer(environ)

    return Services(
        stores=stores,
        registry=reread(),
        reread=reread,
        resign=resign,
        publisher=IotPublisher(boto3.client("iot-data")),
        signer=resign(),
        features=named(environ),
    )


def _signer(environ: Mapping[str, str]) -> Signer | NoSigner:
    if environ.get("SITEWATT_SIGNING") == SIGNS_NOTHING:
        return NoSigner()
    issuer = environ.get("SITEWATT_ISSUER", "grid-agent")
    if path := environ.get("SITEWATT_SIGNING_KEY_FILE"):
        return read_signer_file(issuer=issuer, path=Path(path))
    if secret := environ.get("SITEWATT_SIGNING_KEY_SECRET"):
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pem = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        except (BotoCoreError, ClientError) as error:
            raise SetupError(f"secret {secret} cannot be read, no command can be signed: {error}") from error
        return read_signer(issuer=issuer, pem=pem.encode(), where=f"secret {secret}")
    raise SetupError(
        "neither SITEWATT_SIGNING_KEY_FILE nor SITEWATT_SIGNING_KEY_SECRET is set; no command can be signed"
    )
