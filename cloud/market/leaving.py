"""A site that takes part no more: it trades no longer, settles what it still owes, and its account is closed.

From its leaving on it takes part in no delivery interval but those in which it traded before. Nothing is estimated for
it in the others. Its account closes once no interval that is remembered names it, which is when the last of them is
final; what it owes or is owed moves to cash.
"""

from typing import NamedTuple

from cloud.market.checks import Refusal, Refused
from cloud.market.rules import Participant
from cloud.market.shapes import CloseAccount, Leave
from cloud.market.state import Account, Outcome, Product, State
from cloud.market.trading import reply_of, withdraw
from contracts.market import OrderStatus


class Departed(NamedTuple):
    """A site that left: since when, in epoch milliseconds, and in how many remembered intervals it still stands."""

    participant: Participant
    left_ms: int
    open_intervals: int


def takes_part(product: Product, account: Account) -> bool:
    """Return whether a site settles in a product: it is registered, or was when it began, or it traded there."""
    if account.left_ms is None or product.start_ms < account.left_ms:
        return True
    position = product.positions.get(account.site)
    return position is not None and bool(position.bought_wh or position.sold_wh)


def departed(state: State) -> tuple[Departed, ...]:
    """Return who left and whose account is still open."""
    return tuple(
        Departed(one.participant, one.left_ms, _open_intervals(state, one))
        for one in state.accounts.values()
        if one.left_ms is not None
    )


def leave(state: State, command: Leave, out: Outcome) -> None:
    """Let a site take part no more from now on; its open orders are withdrawn, what it traded stands."""
    account = state.accounts.get(command["site"])
    if account is None or account.left_ms is not None:
        return
    account.left_ms = state.now_ms
    account.storage = None
    refused = Refused(Refusal.WITHDRAWN, f"site {account.site} takes part no more: {command['reason']}")
    for _, product in sorted(state.products.items()):
        for order in [order for order in product.orders if order.account is account and order.open_wh]:
            withdraw(state, product, order, OrderStatus.CANCELLED)
            out.replies.append(reply_of(product, order, refusal=refused))


def _open_intervals(state: State, account: Account) -> int:
    """Return in how many remembered intervals a site still stands, before its account can close."""
    site = account.site
    return sum(
        site in product.positions or site in product.meters or site in product.held or site in product.demand_response
        for product in state.products.values()
    )


def close(state: State, command: CloseAccount, out: Outcome) -> None:
    """Close the account of a site that left, once nothing of it can change: its balance moves to cash.

    A site that came back, or of which something is still open, keeps its account.
    """
    account = state.accounts.get(command["site"])
    if account is None or account.left_ms is None or _open_intervals(state, account):
        return
    out.lines += state.ledger.invoice(
        account.site, interval_ms=command["interval_ms"], rules_version=state.rules.version
    )
    del state.accounts[account.site]
