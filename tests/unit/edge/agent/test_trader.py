"""The site's agent where it knows little, and what it leaves on the disk."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from contracts.clock import Clock
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.market import OrderMessage
from contracts.topics import Up
from contracts.units import ClockTrust
from edge.agent.trader import Trader
from edge.outbox.outbox import Outbox
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config

NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)


def _trader(outbox: Outbox, clock: Clock) -> Trader:
    return Trader(
        config=config(trading={"enabled": True}),
        clock=clock,
        outbox=outbox,
        clock_trust=lambda: ClockTrust.SYNCED,
    )


def _forecast() -> ForecastBroadcast:
    def series(kind: ForecastKind, value: int, site: str | None) -> ForecastSeries:
        steps = (value,) * 40
        return ForecastSeries(kind=kind, site=site, start=NOON, p10=steps, p50=steps, p90=steps)

    told = (series(ForecastKind.LOAD, 2_000, SITE), series(ForecastKind.PRICE, 20_000, None))
    return ForecastBroadcast(zone="zone-1", issued_at=NOON, series=told)


def test_a_gateway_without_a_forecast_looks_at_the_market_again_and_again(tmp_path: Path) -> None:
    """On its first day a site knows nothing of itself; that must not end the process that keeps it safe."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock)
        for _ in range(3):
            trader.look()
            clock.advance(60.0)
        assert outbox.read(Up.ORDERS) == []


def test_a_restart_with_open_orders_and_no_outlook_waits_and_lets_them_stand(tmp_path: Path) -> None:
    """The broker may be gone for hours: the site is controlled, trading says what it waits for."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock)
        trader.hear_forecast(_forecast())
        trader.look()
        assert trader.stats["orders"] > 0
        # Without a restart: an outlook of two hours ago and no hour of the site's own.
        for _ in range(200):
            clock.advance(60.0)
            trader.look()
        assert trader.waits is not None
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        for _ in range(120):
            clock.advance(60.0)
            restarted = _trader(outbox, clock)
            restarted.look()
            assert restarted.waits is not None and restarted.stats["orders"] == 0


def test_the_orders_of_one_look_and_what_is_remembered_of_them_are_one_commit(tmp_path: Path) -> None:
    """A flush for each order would write the same pages again and again; a crash between them would tear the round."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock)
        trader.hear_forecast(_forecast())
        before = outbox.stats().commits
        trader.look()
        sent = [OrderMessage.decode(record.payload) for record in outbox.read(Up.ORDERS, limit=100)]
        assert len(sent) > 1 and trader.stats["orders"] == len(sent)
        shown = trader.told_orders()
        assert {one["order_id"] for one in shown} == {message.order_id for message in sent}
        assert [one["start"] for one in shown] == sorted(one["start"] for one in shown), "the page shows what is next"
        assert all(one["open"] and one["traded_wh"] == 0 for one in shown)
        assert outbox.stats().commits == before + 1
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        again = _trader(outbox, clock)
        again.hear_forecast(_forecast())
        again.look()
        assert again.stats["orders"] == 0
