"""Takes a name out of JSON values: another stands wherever it stood, in texts, keys and order ids made of it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import EnumMeta
from typing import Any, Final

from cloud.market.engine import RESERVED
from cloud.market.ledger import Kind, LedgerLine
from cloud.market.state import Product, SiteSettlement, Trade
from contracts import market as market_words
from contracts import metering, telemetry, units

# A site's id, and the ids of orders that gateways make of it, are runs of these.
_WORD: Final = re.compile(r"[A-Za-z0-9-]+")
_ENUMS: Final = [
    each for module in (market_words, metering, telemetry, units) for each in vars(module).values()
    if isinstance(each, EnumMeta)
]  # fmt: skip
# A site may be called like one of these, and then its name cannot be told from the word.
WORDS: Final = frozenset(
    {
        *(str(member.value) for enum in (*_ENUMS, Kind) for member in enum),  # type: ignore[var-annotated]
        *RESERVED,
        *Trade._fields,
        *LedgerLine._fields,
        *SiteSettlement._fields,
        *(name for name in Product.__dataclass_fields__),
        *("message", "order", "tick", "meter", "storage", "capacity", "register", "participant", "site", "owner"),
        *("call", "battery", "producer", "consumer", "monitor", "good", "load", "pv", "grid", "utility", "lines"),
    }
)


@dataclass(kw_only=True)
class Renaming:
    """One site's name, the name that takes its place, and the ids of its orders that are made of its name.

    ``owner`` is who owns the site, where nobody else's site has that owner; else it stays, and is empty here.
    """

    site: str
    stand_in: str
    owner: str = ""
    orders: set[str] = field(default_factory=set)

    def gather(self, value: object) -> None:
        """Remember the ids of the site's orders that a value names."""
        if isinstance(value, Mapping):
            for who, what in (("site", "order_id"), ("buy_site", "buy_order"), ("sell_site", "sell_order")):
                if value.get(who) == self.site and str(value.get(what, "")).startswith(f"{self.site}-"):
                    self.orders.add(str(value[what]))
            for inner in value.values():
                self.gather(inner)
        elif isinstance(value, list | tuple):
            # A snapshot's orders are rows that begin with the site and the id.
            if len(value) > 1 and value[0] == self.site and str(value[1]).startswith(f"{self.site}-"):
                self.orders.add(str(value[1]))
            for inner in value:
                self.gather(inner)

    def text(self, text: str) -> str:
        """Return a text with the stand-in where the name was; longer names that begin with it stay."""
        return _WORD.sub(self._word, text) if self.site in text else text

    def value(self, value: Any) -> Any:
        """Return a JSON value with the stand-in in its texts and keys, and in the place of the site's owner."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            named = {self.text(name): self.value(inner) for name, inner in value.items()}
            if self.owner and value.get("owner") == self.owner and self.site in (value.get("site"), value.get("id")):
                named["owner"] = self.stand_in
            return named
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def _word(self, found: "re.Match[str]") -> str:
        word = found.group()
        if word == self.site or word in self.orders:
            return self.stand_in + word[len(self.site) :]
        return word
