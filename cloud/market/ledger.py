"""The double-entry ledger: every posting sums to zero, in money and in energy.

Money is positive for who pays, negative for who receives; energy is positive for who takes, negative for who gives.
Nothing is ever edited: a correction is the reversal of a posting and a new one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from contracts.units import UCT_PER_CENT

FEES = "fees"
LINK_FEES = "link-fees"
RENT = "congestion-rent"
BALANCING = "balancing"
DEMAND_RESPONSE = "demand-response"
ROUNDING = "rounding"
CASH = "cash"


class Kind(StrEnum):
    """What a posting is for."""

    TRADE = "trade"
    FEE = "fee"
    RENT = "rent"
    IMBALANCE = "imbalance"
    DEMAND_RESPONSE = "demand-response"
    PENALTY = "penalty"
    REVERSAL = "reversal"
    INVOICE = "invoice"


class Entry(NamedTuple):
    """One account's share of a posting."""

    account: str
    money_uct: int
    energy_wh: int


class LedgerLine(NamedTuple):
    """One line: its number, the posting it belongs to, the account, both amounts, and where they come from.

    ``reference`` names the trade, the demand-response event, or the posting that is reversed.
    """

    number: int
    posting: int
    kind: Kind
    account: str
    money_uct: int
    energy_wh: int
    interval_ms: int
    reference: str
    meter_version: int | None
    rules_version: int


class Unbalanced(ValueError):
    """A posting does not sum to zero; nothing of it was posted."""


@dataclass(kw_only=True, slots=True)
class Ledger:
    """Balances and numbering; the lines themselves go to whoever keeps them."""

    money_uct: dict[str, int] = field(default_factory=dict)
    energy_wh: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    postings: int = 0

    def post(
        self,
        kind: Kind,
        entries: Sequence[Entry],
        *,
        interval_ms: int,
        reference: str,
        rules_version: int,
        meter_version: int | None = None,
    ) -> list[LedgerLine]:
        """Post entries together and return their lines.

        Raises:
            Unbalanced: Money or energy does not sum to zero.
        """
        money = energy = 0
        for entry in entries:
            money += entry.money_uct
            energy += entry.energy_wh
        if money or energy:
            raise Unbalanced(f"{kind} posting of {reference} is off by {money} uct and {energy} Wh; not posted")
        self.postings += 1
        number = self.lines
        lines = []
        for account, money, energy in entries:
            number += 1
            self.money_uct[account] = self.money_uct.get(account, 0) + money
            self.energy_wh[account] = self.energy_wh.get(account, 0) + energy
            lines.append(
                LedgerLine(
                    number,
                    self.postings,
                    kind,
                    account,
                    money,
                    energy,
                    interval_ms,
                    reference,
                    meter_version,
                    rules_version,
                )
            )
        self.lines = number
        return lines

    def transfer(
        self,
        kind: Kind,
        payer: str,
        payee: str,
        *,
        money_uct: int,
        energy_wh: int,
        interval_ms: int,
        reference: str,
        rules_version: int,
    ) -> tuple[LedgerLine, LedgerLine]:
        """Post what one account pays another for energy that goes to it; two opposite lines, balanced by their form."""
        money, energy = self.money_uct, self.energy_wh
        money[payer] = money.get(payer, 0) + money_uct
        energy[payer] = energy.get(payer, 0) + energy_wh
        money[payee] = money.get(payee, 0) - money_uct
        energy[payee] = energy.get(payee, 0) - energy_wh
        self.postings = posting = self.postings + 1
        self.lines = number = self.lines + 2
        rest = (interval_ms, reference, None, rules_version)
        return (
            tuple.__new__(LedgerLine, (number - 1, posting, kind, payer, money_uct, energy_wh, *rest)),
            tuple.__new__(LedgerLine, (number, posting, kind, payee, -money_uct, -energy_wh, *rest)),
        )

    def reverse(self, lines: Iterable[LedgerLine], *, rules_version: int) -> list[LedgerLine]:
        """Post the opposite of one earlier posting and return the new lines; the earlier ones stay."""
        earlier = list(lines)
        return self.post(
            Kind.REVERSAL,
            [Entry(line.account, -line.money_uct, -line.energy_wh) for line in earlier],
            interval_ms=earlier[0].interval_ms,
            reference=f"posting {earlier[0].posting}",
            rules_version=rules_version,
            meter_version=earlier[0].meter_version,
        )

    def invoice(self, account: str, *, interval_ms: int, rules_version: int) -> list[LedgerLine]:
        """Move an account's balance to cash in whole cents, the remainder to the rounding account.

        Returns no lines where the balance is zero.
        """
        balance = self.money_uct.get(account, 0)
        if not balance:
            return []
        cash = whole_cents(balance) * UCT_PER_CENT
        entries = [Entry(account, -balance, 0), Entry(CASH, cash, 0)]
        if balance != cash:
            entries.append(Entry(ROUNDING, balance - cash, 0))
        return self.post(Kind.INVOICE, entries, interval_ms=interval_ms, reference=account, rules_version=rules_version)

    def sums(self) -> tuple[int, int]:
        """Return the sum over all accounts in money and energy: zero each, or the ledger is broken."""
        return sum(self.money_uct.values()), sum(self.energy_wh.values())

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as JSON values."""
        return {
            "money_uct": dict(self.money_uct),
            "energy_wh": dict(self.energy_wh),
            "lines": self.lines,
            "postings": self.postings,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "Ledger":
        """Return the ledger of ``to_json``."""
        return cls(
            money_uct=dict(state["money_uct"]),
            energy_wh=dict(state["energy_wh"]),
            lines=state["lines"],
            postings=state["postings"],
        )


def whole_cents(amount_uct: int) -> int:
    """Return an amount in whole cents, half to even.

    Source: IEEE 754 roundTiesToEven, applied to integers.
    """
    cents, rest = divmod(amount_uct, UCT_PER_CENT)
    half = UCT_PER_CENT // 2
    return cents + (rest > half or (rest == half and cents % 2 == 1))
