"""What keeping costs: the market's books, which nothing throws away, recovery, copies, and what a stack has once.

Books grow with every interval, so a bill says how many months a stack has run. A table's copies are whole each time.

Source: DynamoDB pricing, point-in-time recovery by the size of table and index; AWS Backup pricing; AppConfig pricing,
a configuration received costs 4,000 times what a request does; KMS, Secrets Manager and CloudWatch pricing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from typing import Final

from cloud.cost.prices import Prices
from cloud.infra.functions import FUNCTIONS
from cloud.infra.rules import Carrier
from cloud.infra.tables import TABLES

# Bytes of one item with its overhead. Source: a product's whole story in our own tables, held against it by a test.
ORDER, SIDE, TRADE, LEDGER, SETTLED = 231, 323, 304, 277, 358
MONTH_S: Final = 30 * 86_400
GROWING: Final = "GB-months of market, trades, ledger"
COPIES: Final = 13  # Kept of one table, one a month for 400 days. Source: ``cloud.infra.stack.backups``.
KEPT_WARM_S: Final = 300.0  # How long a function that nobody calls stays; AWS promises nothing, minutes are usual.
# Each function that fails and each new version that fails; streams that are late, what is set aside, the features.
ALARMS: Final = 2 * len(FUNCTIONS) + len(Carrier) + 2
# A band counts as three alarms. Source: CloudWatch pricing, anomaly detection.
ODD_ALARMS: Final = 3 * len(Carrier)
ENDPOINTS: Final = 3 * 2  # Of a private network: three services in two zones. Source: ``cloud.infra.stack.network``.
KEYS: Final = len({each.data_class for each in TABLES} | {"secrets"})


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Quantities of one site in a month, beside what a unit costs."""

    service: str
    what: str
    quantity: float
    price: float


def books_gb(*, orders: float, trade_sides: float, intervals: float) -> float:
    """Return what one site adds to the market's tables and their index in so many intervals, in GB.

    A side and a settlement stand in the index once more, a trade has two sides, and what is settled has a line of the
    ledger for its imbalance.
    """
    once = orders * ORDER + trade_sides * (SIDE + TRADE / 2 + 2 * LEDGER) + SETTLED + LEDGER
    return intervals * (once + trade_sides * SIDE + SETTLED) / 1e9


def books(monthly_gb: float, measured_gb: float, *, months: int, prices: Prices, copies: bool) -> Iterator[Kept]:
    """Yield what is kept for one site.

    Args:
        monthly_gb: What its books grow by in a month.
        measured_gb: What is kept of measurements and forecasts, which expire.
        months: The month of the stack that is billed, from one on; the books are counted at its middle.
        prices: What AWS asks for.
        copies: Whether monthly copies are made; each is of all that there is then.
    """
    grown_gb = monthly_gb * (months - 0.5)
    kept = prices.dynamodb_gb_month, prices.dynamodb_recovery_gb_month
    yield Kept(service="dynamodb", what=GROWING, quantity=grown_gb, price=kept[0])
    yield Kept(
        service="dynamodb", what="GB-months of recovery to any second", quantity=grown_gb + measured_gb, price=kept[1]
    )
    if copies:
        copied_gb = sum(monthly_gb * max(0, months - age) for age in range(1, COPIES + 1))
        yield Kept(
            service="backup", what="GB-months of monthly copies", quantity=copied_gb, price=prices.backup_gb_month
        )


def switches(ticks: float, *, zones: float, sites: int, prices: Prices) -> Iterator[Kept]:
    """Yield what the one reader of the features costs a site: it asks at each tick of a zone.

    A function that was started anew receives the configuration, one that is warm is told that nothing is new. Zones
    tick at minutes of their own, so the more there are, the sooner a warm one is found.
    """
    asked, cold = ticks * zones / sites, exp(-KEPT_WARM_S * zones * ticks / MONTH_S)
    yield Kept(service="appconfig", what="requests for the features", quantity=asked, price=prices.appconfig_request)
    yield Kept(service="appconfig", what="features received", quantity=asked * cold, price=prices.appconfig_received)


def once(*, sites: int, prices: Prices, private_network: bool) -> Iterator[Kept]:
    """Yield what a stack has once, shared by its sites."""
    if private_network:
        hours = ENDPOINTS * MONTH_S / 3600
        yield Kept(service="vpc", what="hours of endpoints", quantity=hours / sites, price=prices.endpoint_hour)
    yield Kept(service="kms", what="keys, shared by all sites", quantity=KEYS / sites, price=prices.kms_key_month)
    yield Kept(service="secretsmanager", what="the signing key", quantity=1 / sites, price=prices.secret_month)
    yield Kept(
        service="cloudwatch", what="alarms", quantity=(ALARMS + ODD_ALARMS) / sites, price=prices.cloudwatch_alarm_month
    )
    yield Kept(
        service="cloudwatch", what="the alarm of alarms", quantity=1 / sites, price=prices.cloudwatch_composite_month
    )
