"""The price a gateway reads by itself: asked of a real socket, kept over a restart, forecast on, planned with."""

import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.clock import Clock
from contracts.units import DELIVERY_INTERVAL, ClockTrust, Quality
from edge.agent.asking import BODY_BYTES_MAX
from edge.agent.kept_prices import MONTHS_MAX, KeptPrices
from edge.agent.own_prices import LOOK_S, OwnPrices
from edge.agent.published import fetch_prices
from edge.agent.trader import Trader
from edge.config import PricesSection
from edge.control.model import BATTERIES, Measured
from edge.errors import ProviderUnavailable
from edge.loop.readings import SOC
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.state_store import StateStore, VolatileStateStore
from edge.trading.own_price import HORIZON_STEPS, repeated_price
from tests.support.cloud import price_answers as answers
from tests.support.cloud.providers import Answer, provider
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, reading

MORNING = datetime(2026, 3, 18, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MIDNIGHT = MORNING.replace(hour=0)


def _days(first: datetime, days: int) -> Answer:
    """Return quarters of some days, dear in the evening."""
    prices = [300.0 if 18 <= quarter // 4 < 20 else 50.0 + quarter // 4 for quarter in range(96)]
    return Answer(body=answers.energy_charts(first, prices * days))


def _section(url: str = "", **more: Any) -> PricesSection:
    return PricesSection(**{"provider": "energy-charts", "area": "DE-LU", "url": url, **more})


def _reader(section: PricesSection, memory: StateStore, clock: Clock, news: list[str] | None = None) -> OwnPrices:
    told: list[str] = [] if news is None else news
    trading = {"enabled": True, "prices": section.model_dump(mode="json"), "tariff": "de-dynamic"}
    return OwnPrices(
        config(trading=trading),
        section,
        memory=memory,
        clock=clock,
        clock_trust=lambda: ClockTrust.SYNCED,
        on_news=lambda: told.append("news"),
    )


async def test_published_prices_are_asked_for_once_and_followed_by_a_forecast() -> None:
    """A plan looks two days ahead, and of these at most 36 hours are published."""
    clock, news, memory = ManualClock(MORNING), list[str](), VolatileStateStore()
    with provider([_days(MIDNIGHT - DAY, 2), _days(MIDNIGHT - 30 * DAY, 30), _days(MIDNIGHT - DAY, 2)]) as server:
        reader = _reader(_section(server.url), memory, clock, news)
        await reader.look()
        assert reader.series is not None and reader.series.published_until == MIDNIGHT + DAY
        assert reader.series.p50[0] == 5_800 and len(reader.series.p50) == HORIZON_STEPS
        assert reader.series.start == MORNING and "energy-charts DE-LU, then" in reader.series.method
        assert news == ["news"] and reader.told()["fault"] == ""
        clock.advance(LOOK_S)
        await reader.look()
        spans = [path.partition("start=")[2] for path in server.asked]
        assert [span[:10] for span in spans] == ["2026-03-17", "2025-11-17"], "the present, then a part of the past"
        assert "then mix of" in reader.series.method and news == ["news"] * 2
        evening = (MIDNIGHT + DAY + timedelta(hours=19) - MORNING) // DELIVERY_INTERVAL
        assert reader.series.p50[evening] > 20_000, "what is not published follows the days before"
        clock.advance(LOOK_S)
        await reader.look()
        assert server.asked[2].partition("start=")[2] < spans[1], "today's are known; only the past is asked for"
        again = _reader(_section(server.url), memory, clock)
        asked = len(server.asked)
        await again.look()
        assert again.series is not None and again.series.published_until == MIDNIGHT + DAY
        assert server.asked[asked].partition("start=")[2] < spans[1], "after a restart it goes on from there"


async def test_tomorrow_is_asked_for_when_it_is_published_and_a_fault_is_told_and_waited_out() -> None:
    """A provider that is down for an hour costs a plan nothing: today's prices are kept."""
    clock, memory = ManualClock(MORNING), VolatileStateStore()
    past = _days(MIDNIGHT - 121 * DAY, 1)
    with provider([_days(MIDNIGHT - DAY, 2), past, Answer(status=503, body=b"")]) as server:
        reader = _reader(_section(server.url), memory, clock)
        await reader.look()
        clock.advance(5 * 3600)
        await reader.look()
        told = reader.told()
        assert told["fault"] == "127.0.0.1 answers 503" and told["published_until"] == "2026-03-19T00:00:00+00:00"
        asked = len(server.asked)
        clock.advance(LOOK_S)
        await reader.look()
        assert len(server.asked) == asked, "not asked again at once"
    with provider([_days(MIDNIGHT, 2)]) as server:
        reader = _reader(_section(server.url, area="AT"), memory, clock)
        await reader.look()
        assert reader.series is not None and reader.series.published_until == MIDNIGHT + 2 * DAY
        assert reader.told()["fault"] == ""


async def test_prices_of_another_area_are_forgotten() -> None:
    """Who corrects the bidding zone must not plan with the other one's evening."""
    clock, memory = ManualClock(MORNING), VolatileStateStore()
    KeptPrices(memory, source="energy-charts FR").add({MORNING: 99_000})
    assert KeptPrices(memory, source="energy-charts FR").between(MIDNIGHT, MIDNIGHT + DAY) == {MORNING: 99_000}
    with provider([Answer(status=404)]) as server:
        reader = _reader(_section(server.url), memory, clock)
        await reader.look()
        assert reader.series is None and "404" in reader.told()["fault"]


def test_months_are_kept_by_quarter_and_the_oldest_go() -> None:
    """Three years of quarters are forty small values, and a day's news rewrites one of them."""
    memory = VolatileStateStore()
    kept = KeptPrices(memory, source="x")
    edge = datetime(2026, 2, 28, 23, 45, tzinfo=UTC)
    kept.add({edge: 1, edge + DELIVERY_INTERVAL: 2})
    kept.add({edge + DELIVERY_INTERVAL: 3})
    assert kept.between(edge - DAY, edge + DAY) == {edge: 1, edge + DELIVERY_INTERVAL: 3}
    assert [(begin.month, len(values)) for begin, values in kept.months()] == [(2, 28 * 96), (3, 31 * 96)]
    first = datetime(2020, 1, 1, tzinfo=UTC)
    kept.add({datetime(2020 + month // 12, month % 12 + 1, 1, tzinfo=UTC): month for month in range(60)})
    months = [begin for begin, _ in kept.months()]
    assert len(months) == MONTHS_MAX and months[-1].year == 2026 and first not in months
    assert memory.recall("prices.2020-01") is None
    memory.remember("prices.2026-02", ["spoilt"])
    assert kept.between(edge, edge + DELIVERY_INTERVAL) == {}, "what cannot be read counts as nothing"


def test_without_numpy_the_day_before_follows_what_is_published() -> None:
    """A 32-bit board plans too."""
    published = {MIDNIGHT + step * DELIVERY_INTERVAL: step for step in range(96)}
    told = repeated_price(published, source="a file", start=MORNING)
    assert told is not None and (told.method, told.published_until) == ("a file, then the day before", MIDNIGHT + DAY)
    assert told.p50 == tuple((32 + step) % 96 for step in range(HORIZON_STEPS))
    assert repeated_price({}, source="a file", start=MORNING) is None


async def test_a_board_without_numpy_has_the_day_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forecast is a part that may be missing."""
    monkeypatch.setitem(sys.modules, "edge.agent.own_history", None)
    with provider([_days(MIDNIGHT - DAY, 2)]) as server:
        reader = _reader(_section(server.url), VolatileStateStore(), ManualClock(MORNING))
        await reader.look()
        assert reader.series is not None and reader.series.method == "energy-charts DE-LU, then the day before"


async def test_a_file_is_read_again_when_its_owner_changes_it(tmp_path: Path) -> None:
    """A price list that comes by hand or by a script."""
    file, clock = tmp_path / "prices.csv", ManualClock(MORNING)
    file.write_text(f"start,price_ct_per_kwh\n{MORNING.isoformat()},10\n")
    reader = _reader(_section(provider="file", file=file), VolatileStateStore(), clock)
    await reader.look()
    assert reader.series is not None and reader.series.p50[0] == 10_000
    file.write_text(f"start,price_ct_per_kwh\n{MORNING.isoformat()},-5\n")
    clock.advance(301)
    await reader.look()
    assert reader.series.p50[0] == -5_000
    file.write_text("start,price\n")
    clock.advance(301)
    await reader.look()
    assert "it holds a header and no rows" in reader.told()["fault"] and reader.series.p50[0] == -5_000, (
        "what is kept counts on"
    )


def test_a_token_is_for_its_provider_alone_and_no_sentence_tells_it(tmp_path: Path) -> None:
    """A provider that redirects must not hand a household's token to another host."""
    token = tmp_path / "token"
    token.write_text("hidden-token\n")
    good = Answer(body=answers.tibber(MIDNIGHT, [0.05] * 96))
    with provider([good]) as elsewhere:
        moved = Answer(status=302, headers={"Location": f"{elsewhere.url}/x"})
        with provider([moved]) as server:
            section = _section(server.url, provider="tibber", token_file=token)
            assert len(fetch_prices(section, first=MIDNIGHT, last=MIDNIGHT + DAY)) == 96
            assert server.headers[0]["Authorization"] == "Bearer hidden-token"
            assert "Authorization" not in elsewhere.headers[0]
    section = _section(server.url, provider="entsoe", token_file=token)
    with pytest.raises(ProviderUnavailable) as silent:
        fetch_prices(section, first=MIDNIGHT, last=MIDNIGHT + DAY)
    assert "hidden-token" not in str(silent.value)
    with pytest.raises(ProviderUnavailable, match="cannot be read"):
        fetch_prices(_section(provider="entsoe", token_file=tmp_path / "none"), first=MIDNIGHT, last=MORNING)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(body=b"{}", cut_to=1), "127.0.0.1"),
        (Answer(body=b"x" * (BODY_BYTES_MAX + 1)), "sends more than"),
        (Answer(status=429, headers={"Retry-After": "600"}), "answers 429"),
        (Answer(body=b"<html>"), "a web page, not a table"),
        (Answer(body=answers.energy_charts(MIDNIGHT, [50.0], unit="EUR / kWh")), "expected EUR/MWh"),
    ],
)
def test_an_unusable_answer_is_named(answer: Answer, sentence: str) -> None:
    """Nothing of it is used."""
    with provider([answer]) as server, pytest.raises(ProviderUnavailable, match=sentence) as fault:
        fetch_prices(_section(server.url), first=MIDNIGHT, last=MIDNIGHT + DAY)
    assert fault.value.retry_after_s == (600 if answer.status == 429 else 0)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"provider": "entsoe", "area": "x"}, "needs token_file"),
        ({"provider": "energy-charts"}, "needs area"),
        ({"provider": "file"}, "needs file"),
        ({"provider": "market"}, "which a cloud tells"),
        ({"provider": "awattar", "url": "api.awattar.at"}, "url"),
    ],
)
def test_a_source_that_is_not_told_whole_is_refused(told: dict[str, Any], sentence: str) -> None:
    """At the start, by one sentence, and not at noon by a refusal of the provider."""
    with pytest.raises(ValidationError, match=sentence):
        PricesSection(**told)


async def test_the_plan_follows_the_gateways_own_price_without_any_cloud(tmp_path: Path) -> None:
    """A battery is charged in the cheap hour before the dear evening, by a tariff on the day-ahead price."""
    clock = ManualClock(MORNING + timedelta(hours=6))
    cheap = [50.0] * 56 + [1.0] * 4 + [50.0] * 12 + [300.0] * 24
    body = answers.energy_charts(MIDNIGHT - DAY, cheap * 3)
    with (
        provider([Answer(body=body)]) as server,
        closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox,
    ):
        trading = {
            "enabled": True,
            "spot": {"import_adder_mct_per_kwh": 10_000, "export_adder_mct_per_kwh": -500},
            "prices": _section(server.url).model_dump(mode="json"),
        }
        trader = Trader(
            config=config(trading=trading), clock=clock, outbox=outbox, clock_trust=lambda: ClockTrust.SYNCED
        )
        assert trader.own_prices is not None
        await trader.own_prices.look()
        for _ in range(3):
            clock.advance(60)
            trader.finished(_cycle(clock))
        await trader.replan()
        trader.finished(_cycle(clock))
        asked = trader.requests(clock.monotonic())
        assert [request.preferred_w for request in asked if request.resource == BATTERIES] == [
            pytest.approx(4_000, abs=10)
        ]
        (price,) = [told for told in trader.told_outlook() if told["kind"] == "price"]
        assert (price["by"], price["p50"][0]) == ("own", 100)


def _cycle(clock: ManualClock) -> CycleSeen:
    now_s = clock.monotonic()
    return CycleSeen(
        number=1,
        taken_s=now_s,
        connection_power=Measured(value=1_000.0, quality=Quality.GOOD, age_s=0.0),
        readings={"inverter": {SOC: reading(50, at_s=now_s)}, "meter": {}},
    )
