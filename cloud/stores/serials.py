"""The list of serials that may register: for each its secret, the site and zone it stands for, and who registered.

A serial's item holds ``secret`` (hex), ``site``, ``zone``; once registered ``fingerprint`` of the key and the newest
``certificates``; ``released`` where another key may come once, ``retired`` where none may.
"""

import re
import secrets
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cloud.errors import FleetDenied, SetupError
from cloud.stores import keys
from cloud.stores.tables import Item, Put, Table, Tables
from contracts.claim_proof import verifier_of
from contracts.units import SiteId, ZoneId

SECRET_BYTES: Final = 32
# It is a client id after ``claim-``, a certificate's common name (64 characters) and a thing's attribute.
_SERIAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_NAME: Final = TypeAdapter[str](SiteId)


def admit(
    tables: Tables, *, serial: str, site: SiteId, zone: ZoneId, again: bool = False, earlier: bool = False
) -> bytes:
    """Put a serial on the list, and return the secret that goes with the gateway; the list keeps what is derived of it.

    Args:
        tables: Where the list is.
        serial: The gateway's serial number.
        site: The site that it will be.
        zone: The zone of the site.
        again: It may be on the list: its claim or its card was lost. The secret of before is worth nothing any more,
            and another key may register once.
        earlier: The gateway is of a version that proves by the secret itself, which the list then keeps.

    Raises:
        SetupError: A name breaks its form.
        FleetDenied: It is on the list already, and ``again`` was not said; its secret is not told again.
        ConditionFailed: Somebody else changed its entry at the same time.
    """
    _check_names(serial=serial, site=site, zone=zone)
    item = tables.get(keys.gateway(serial))
    if item is not None and not again:
        raise FleetDenied(
            f"serial {serial} is on the list already, as site {item.body['site']}; its secret is not told again, "
            "a new one needs --again",
            code="ResourceAlreadyExists",
            status=409,
        )
    secret = secrets.token_bytes(SECRET_BYTES)
    kept = {"secret": secret.hex()} if earlier else {"verifier": verifier_of(secret).hex()}
    named = {**kept, "site": site, "zone": zone}
    if item is None:
        tables.put(Put(key=keys.gateway(serial), body=named, if_version=0))
    else:
        before = {name: value for name, value in item.body.items() if name not in ("secret", "verifier")}
        body = {**before, **named, "released": True, "retired": False}
        tables.put(Put(key=item.key, body=body, if_version=item.version))
    return secret


def release(tables: Tables, serial: str) -> None:
    """Let another key register a serial once: its gateway was replaced, or renews its certificate.

    Raises:
        FleetDenied: It is not on the list.
    """
    _change(tables, serial, released=True, retired=False)


def retire(tables: Tables, serial: str) -> None:
    """Let nobody register a serial any more.

    Raises:
        FleetDenied: It is not on the list.
    """
    _change(tables, serial, released=False, retired=True)


def serials(tables: Tables) -> tuple[Item, ...]:
    """Return the whole list."""
    return tuple(tables.query(Table.GRID_METRICS, keys.GATEWAYS))


def _check_names(*, serial: str, site: str, zone: str) -> None:
    if not _SERIAL.fullmatch(serial):
        raise SetupError(f"serial {serial!r} is not 1 to 64 letters, digits and . _ : -; nothing listed")
    for what, name in (("site", site), ("zone", zone)):
        try:
            _NAME.validate_python(name)
        except ValidationError as error:
            raise SetupError(f"{what} {name!r} is not 1 to 63 small letters, digits and -; nothing listed") from error


def _change(tables: Tables, serial: str, **fields: bool) -> None:
    item = tables.get(keys.gateway(serial))
    if item is None:
        raise FleetDenied(f"serial {serial} is not on the list; nothing changed", code="ResourceNotFound", status=404)
    tables.put(Put(key=item.key, body={**item.body, **fields}, if_version=item.version))
