"""Whose key signs a peer's card: keys named in the file of peers, or the one seen first, which is kept.

A card says where letters go and what the agent takes, so whoever can change it could lead them elsewhere. Its signature
must verify by a trusted key; a card that changes under the same key is its owner's change.

Source: A2A specification 1.0, section 8.4; RFC 7517 (JWK set), 7638 (a key's thumbprint).
"""

from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio.to_thread
import httpx
from a2a.client import A2ACardResolver
from a2a.types import a2a_pb2
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from cloud.doors.card_key import ALGORITHM, KEYS_PATH, thumbprint
from cloud.doors.peers import Peer
from cloud.errors import CloudError
from cloud.stores import keys
from cloud.stores.tables import Put, Tables

KEYS_MAX: Final = 16


class CardDistrusted(CloudError):
    """A peer's card is not signed by a key that is trusted; nothing was sent."""


class CardPins:
    """The key that signed each peer's card when it was first seen."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of(self, peer: str) -> tuple[str, datetime] | None:
        """Return the thumbprint that is kept, and since when."""
        item = self._tables.get(keys.peer_key(peer))
        return None if item is None else (item.body["kid"], datetime.fromisoformat(item.body["since"]))

    def keep(self, peer: str, kid: str) -> None:
        """Keep a thumbprint where none is kept yet.

        Raises:
            ConditionFailed: Another process has kept one in between.
        """
        body = {"kid": kid, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        self._tables.put(Put(key=keys.peer_key(peer), body=body, if_version=0))


async def trusted_card(http: httpx.AsyncClient, peer: Peer, address: str, pins: CardPins) -> a2a_pb2.AgentCard:
    """Return an agent's card, signed by a key that is trusted; the first key of a peer without named ones is kept.

    Args:
        http: Carries the token of the peer; it asks below the peer's address alone.
        peer: Whose agent it is.
        address: Of the agent.
        pins: What is kept of it.

    Raises:
        CardDistrusted: The card is not signed, or by another key; the sentence names both.
        httpx.HTTPError: The keys cannot be fetched.
        A2AError: The card cannot be fetched or read.
        StoreError: The tables failed.
    """
    card = await A2ACardResolver(http, address).get_agent_card()
    if peer.unsigned:
        return card
    offered = await _offered(http, peer)
    pinned = None if peer.keys else await anyio.to_thread.run_sync(pins.of, peer.name)
    trusted = set(peer.keys) or ({pinned[0]} if pinned is not None else set(offered))
    signer = _signer_of(card, offered, address)
    if signer not in trusted:
        wanted = (
            f"the file of peers names {', '.join(peer.keys)}"
            if peer.keys
            else f"{pinned[0]} is kept since {pinned[1]:%Y-%m-%dT%H:%MZ}"
            if pinned is not None
            else "no key is known"
        )
        raise CardDistrusted(
            f"{address}: its card is signed by key {signer}, but {wanted}; nothing was sent. If {peer.name} has told "
            "you of the change, name the new key under `keys` of the peer"
        )
    if not peer.keys and pinned is None:
        await anyio.to_thread.run_sync(pins.keep, peer.name, signer)
    return card


async def _offered(http: httpx.AsyncClient, peer: Peer) -> dict[str, PyJWK]:
    """Return the keys that a peer publishes, by the thumbprints that are calculated here."""
    answer = await http.get(f"{peer.url}{KEYS_PATH}")
    answer.raise_for_status()
    told: object = answer.json()
    listed = told.get("keys") if isinstance(told, dict) else None
    found = {}
    for jwk in listed[:KEYS_MAX] if isinstance(listed, list) else ():
        try:
            found[thumbprint(jwk)] = PyJWK(jwk, algorithm=ALGORITHM)
        except (PyJWTError, KeyError, TypeError, ValueError):
            continue  # A key of another kind is none that signs cards.
    return found


def _signer_of(card: a2a_pb2.AgentCard, offered: dict[str, PyJWK], address: str) -> str:
    """Return the thumbprint of the key that a card's signature verifies by.

    Raises:
        CardDistrusted: None of them.
    """
    if not card.signatures:
        raise CardDistrusted(
            f"{address}: its card is not signed; nothing was sent. `unsigned: true` of the peer takes it as it is"
        )
    for kid, key in offered.items():
        try:
            create_signature_verifier(partial(_given, key), [ALGORITHM])(card)
        except SignatureVerificationError:
            continue
        return kid
    raise CardDistrusted(
        f"{address}: its card's signature fits none of the {len(offered)} keys that its server publishes; "
        "nothing was sent"
    )


def _given(key: PyJWK, _kid: str | None, _jku: str | None) -> PyJWK:
    """Return the key to try, whatever key or address a signature names."""
    return key
