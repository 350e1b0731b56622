"""What one site bought, sold, owed and earned in a month: every ledger line of its account, and what they add up to.

Money in millionths of a cent, positive for what the site owes; energy in Wh, positive for what it took. The sum is the
ledger's to the last unit: nothing is rounded before it is printed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloud.market.ledger import Kind
from cloud.market.rules import UtilityPrices
from contracts.units import UCT_PER_EUR

COLUMNS: Final = (
    "at", "kind", "energy_wh", "price_mct_per_kwh", "money_uct", "reference", "meter_version", "rules_version",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementLine:
    """One ledger line of the site: when its interval began (local), what it is for, and from what it follows."""

    at: datetime
    number: int
    kind: str
    energy_wh: int
    money_uct: int
    reference: str
    meter_version: int | None
    rules_version: int

    @property
    def price_mct_per_kwh(self) -> int | None:
        """Return the price of a line that has energy and a price that divides; ``None`` for fees and penalties."""
        if not self.energy_wh or self.money_uct % self.energy_wh:
            return None
        return self.money_uct // self.energy_wh

    def answer(self) -> dict[str, Any]:
        """Return the line as plain values."""
        return {
            "at": self.at.isoformat(),
            "kind": self.kind,
            "energy_wh": self.energy_wh,
            "price_mct_per_kwh": self.price_mct_per_kwh,
            "money_uct": self.money_uct,
            "reference": self.reference,
            "meter_version": self.meter_version,
            "rules_version": self.rules_version,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Metered:
    """What the newest settlement of an interval says the site took (positive), and whether a meter said so.

    ``at`` is when the interval began; ``utility`` is at what the zone's utility sells and buys in it, ``None`` where
    the zone has none.
    """

    at: datetime
    net_wh: int
    estimated: bool
    method: str
    utility: UtilityPrices | None = None

    @property
    def plain_uct(self) -> int | None:
        """Return what the energy would have cost at the utility's prices alone."""
        if self.utility is None:
            return None
        price = self.utility.import_mct_per_kwh if self.net_wh > 0 else self.utility.export_mct_per_kwh
        return self.net_wh * price


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A site's month.

    ``plain_uct`` is what the metered energy would have cost at the utility's prices alone. Trades of intervals that
    are not settled yet are in the total, not in it: ``unsettled_uct`` is what they come to.
    """

    site: str
    zone: str
    month: str
    lines: tuple[StatementLine, ...]
    total_uct: int
    by_kind: dict[str, tuple[int, int]]
    bought_wh: int
    bought_uct: int
    sold_wh: int
    sold_uct: int
    metered_import_wh: int
    metered_export_wh: int
    intervals: int
    estimated: int
    plain_uct: int | None
    unsettled_uct: int
    unsettled_intervals: int

    @property
    def saved_uct(self) -> int | None:
        """Return how much less the settled intervals cost than at the utility's prices alone."""
        return None if self.plain_uct is None else self.plain_uct - (self.total_uct - self.unsettled_uct)

    def answer(self) -> dict[str, Any]:
        """Return the statement as plain values; amounts in EUR are texts, exact to the last unit."""
        return {
            "site": self.site,
            "zone": self.zone,
            "month": self.month,
            "total_uct": self.total_uct,
            "total_eur": eur(self.total_uct),
            "plain_tariff_uct": self.plain_uct,
            "saved_uct": self.saved_uct,
            "unsettled": {"intervals": self.unsettled_intervals, "money_uct": self.unsettled_uct},
            "bought": {"energy_wh": self.bought_wh, "money_uct": self.bought_uct},
            "sold": {"energy_wh": self.sold_wh, "money_uct": self.sold_uct},
            "by_kind": {
                kind: {"energy_wh": energy, "money_uct": money} for kind, (energy, money) in self.by_kind.items()
            },
            "metered": {"import_wh": self.metered_import_wh, "export_wh": self.metered_export_wh},
            "intervals": self.intervals,
            "estimated_intervals": self.estimated,
            "lines": [line.answer() for line in self.lines],
        }


def make_statement(
    *,
    site: str,
    zone: str,
    month: str,
    lines: Iterable[StatementLine],
    metered: Iterable[Metered],
) -> Statement:
    """Return a site's statement of its ledger lines.

    Args:
        site: Whose it is.
        zone: The market's zone.
        month: As ``2026-11``.
        lines: Every line of the site's account in the month, each once.
        metered: The newest settlement of each interval.
    """
    ordered = tuple(sorted(lines, key=lambda line: (line.at.timestamp(), line.number)))
    by_kind: dict[str, tuple[int, int]] = {}
    for line in ordered:
        # A charge is told by its name, as the bill of a grid operator tells it.
        kind = line.reference if line.kind == Kind.CHARGE else line.kind
        energy, money = by_kind.get(kind, (0, 0))
        by_kind[kind] = (energy + line.energy_wh, money + line.money_uct)
    trades = [line for line in ordered if line.kind == Kind.TRADE]
    bought = [line for line in trades if line.energy_wh > 0]
    sold = [line for line in trades if line.energy_wh < 0]
    read = list(metered)
    import_wh = sum(max(one.net_wh, 0) for one in read)
    export_wh = sum(max(-one.net_wh, 0) for one in read)
    plain = [one.plain_uct for one in read if one.plain_uct is not None]
    # By instant: of two times on the wall in the hour that comes twice, one may be settled.
    settled = {one.at.timestamp() for one in read}
    ahead = [line for line in ordered if line.kind != Kind.INVOICE and line.at.timestamp() not in settled]
    return Statement(
        site=site,
        zone=zone,
        month=month,
        lines=ordered,
        total_uct=sum(line.money_uct for line in ordered if line.kind != Kind.INVOICE),
        by_kind=by_kind,
        bought_wh=sum(line.energy_wh for line in bought),
        bought_uct=sum(line.money_uct for line in bought),
        sold_wh=-sum(line.energy_wh for line in sold),
        sold_uct=-sum(line.money_uct for line in sold),
        metered_import_wh=import_wh,
        metered_export_wh=export_wh,
        intervals=len(read),
        estimated=sum(one.estimated for one in read),
        plain_uct=sum(plain) if len(plain) == len(read) else None,
        unsettled_uct=sum(line.money_uct for line in ahead),
        unsettled_intervals=len({line.at.timestamp() for line in ahead}),
    )


def eur(amount_uct: int) -> str:
    """Return an amount in EUR as text, exact: eight decimals hold a millionth of a cent."""
    sign = "-" if amount_uct < 0 else ""
    whole, rest = divmod(abs(amount_uct), UCT_PER_EUR)
    return f"{sign}{whole}.{rest:08d}"
