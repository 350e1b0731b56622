"""The skills on ports of our own: what they answer, what they refuse, and who may act."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.agents.ports import ForecastPort, GridPort, MarketPort, SitePort
from cloud.agents.skills import SKILLS, Ports, skill, skills_of
from cloud.errors import SkillError
from cloud.grid.actions import RecordEvent
from cloud.grid.model import Direction
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import FeederState, GridBroadcast
from contracts.market import MarketBroadcast, ProductState
from contracts.skills.base import Agent, Effect, Scope
from contracts.skills.forecast import ScoreAnswer
from contracts.skills.grid import EvidenceRecord, NetworkStatus, SupplyValue
from contracts.skills.market import ClaimDecision, EstimatedSettlement, HealthFigures, PriceQuote, WaitingClaim
from contracts.skills.site import Flexibility, SiteOrder, SiteStatus, SiteTrade, StatementLine

NOW = datetime(2026, 6, 1, 12, 5, tzinfo=UTC)


def product(minutes: int, *, price: int | None, volume_wh: int = 0) -> MarketBroadcast:
    """Return a delivery interval that starts so many minutes from noon."""
    start = datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return MarketBroadcast(
        zone="zone-1",
        interval_start=start,
        issued_at=NOW,
        state=ProductState.CLEARED if price is not None else ProductState.OPENS,
        price_mct_per_kwh=price,
        volume_wh=volume_wh,
    )


@dataclass
class Market:
    """A market of three intervals."""

    reason: str | None = None
    stored: int = 7
    decided: list[ClaimDecision] = field(default_factory=list)
    all: list[MarketBroadcast] = field(
        default_factory=lambda: [
            product(-15, price=21_000, volume_wh=400),
            product(0, price=24_000, volume_wh=600),
            product(15, price=None),
        ]
    )

    def products(self, zone: str, *, since: datetime, until: datetime) -> Sequence[MarketBroadcast]:
        """Return the intervals of a span."""
        return [each for each in self.all if each.zone == zone and since <= each.interval_start < until]

    def quotes(self, zone: str, *, since: datetime, until: datetime) -> Sequence[PriceQuote]:
        """Return the quote of the interval that still trades."""
        start = datetime(2026, 6, 1, 12, 15, tzinfo=UTC)
        quote = PriceQuote(
            interval_start=start, state=ProductState.CALL, last_price_mct_per_kwh=None, best_buy_mct_per_kwh=20_000,
            best_sell_mct_per_kwh=22_000, buy_wh=500, sell_wh=300, volume_wh=0,
        )  # fmt: skip
        return [quote] if since <= start < until else []

    def health(self, zone: str) -> HealthFigures:
        """Return the figures of a market whose last two entries are not stored."""
        return HealthFigures(
            at=NOW, halted=self.reason, participants=3, entries=9, entries_stored=self.stored, entries_told=7,
            commands=40, state_hash="0" * 64, ledger_lines=12, ledger_sum_uct=0, ledger_sum_wh=0,
            states={"settled": 1}, overdue=0, settlements=3, estimated=1, corrected=0, orders=20, refused=2,
        )  # fmt: skip

    def now(self, zone: str) -> datetime:
        """Return the test's instant."""
        return NOW

    def halted(self, zone: str) -> str | None:
        """Return why trading is halted."""
        return self.reason

    def halt(self, zone: str, *, reason: str, at: datetime) -> None:
        """Halt."""
        self.reason = reason

    def resume(self, zone: str, *, at: datetime) -> None:
        """Resume."""
        self.reason = None

    def claims(self, zone: str) -> list[WaitingClaim]:
        """Return one claim until it is decided."""
        waiting = WaitingClaim(
            event="e1", site="home-1", flags=("few-days",), first_start=NOW, intervals=2, committed_wh=300,
            claimed_uct=12_000_000,
        )  # fmt: skip
        return [] if self.decided else [waiting]

    def estimates(self, zone: str) -> list[EstimatedSettlement]:
        """Return one settlement without a reading."""
        return [
            EstimatedSettlement(
                site="home-1", start=NOW, method="worst", metered_wh=1, imbalance_wh=0, imbalance_uct=0, final_at=NOW
            )
        ]

    def decide(self, decision: ClaimDecision, *, at: datetime) -> None:
        """Decide."""
        self.decided.append(decision)


@dataclass
class Forecasts:
    """One forecast of a home's load."""

    start: datetime = NOW

    def newest(self, zone: str, *, kind: ForecastKind, site: str | None) -> ForecastSeries | None:
        """Return it where it is asked for."""
        if (zone, kind, site) != ("zone-1", ForecastKind.LOAD, "home-1"):
            return None
        return ForecastSeries(kind=kind, site=site, start=self.start, p10=(1, 1), p50=(2, 2), p90=(3, 3))

    def score(self, site: str, *, kind: ForecastKind, since: datetime, until: datetime) -> ScoreAnswer:
        """Return that nothing can be judged."""
        return ScoreAnswer(
            site=site, kind=kind, issues=0, intervals=0, mean_error_w=None, naive_error_w=None, band_share=None
        )


@dataclass
class Grid:
    """A feeder in an event."""

    def feeders(self, zone: str) -> Sequence[str]:
        """Return the one feeder."""
        return ["feeder-1"] if zone == "zone-1" else []

    def status(self, feeder: str) -> GridBroadcast | None:
        """Return its state."""
        if feeder != "feeder-1":
            return None
        return GridBroadcast(
            zone="zone-1", feeder=feeder, at=NOW, state=FeederState.LIMITING, power_w=97_000.0, limit_w=100_000
        )

    def supply(self, feeder: str) -> Sequence[SupplyValue]:
        """Return the grid's frequency."""
        return [SupplyValue(name="frequency_hz", value=49.98, at=NOW)] if feeder == "feeder-1" else ()

    def network(self, feeder: str) -> NetworkStatus | None:
        """Return that its network is not known."""
        told = NetworkStatus(known=False, calculated=False, reason="not known", sites=0, sites_without_node=1)
        return told if feeder == "feeder-1" else None

    def events(self, feeder: str, *, count: int) -> Sequence[RecordEvent]:
        """Return its event."""
        event = RecordEvent(
            event_id="dr-1", feeder=feeder, direction=Direction.REDUCE_IMPORT, state=FeederState.LIMITING,
            detected_at=NOW, limit_w=100_000, peak_w=108_000.0, need_w=10_000.0, shortfall_w=0.0, sites=("home-1",),
            commands=4, applied=4, effective=3, rejected=0, delivered_wh=1_200, effective_at=NOW, effect_ms=(900,),
            released=False, ended_at=None,
        )  # fmt: skip
        return [event][:count] if feeder == "feeder-1" else []

    def evidence(self, feeder: str, *, event_id: str, first: int, count: int) -> Sequence[EvidenceRecord]:
        """Return three records."""
        records = [EvidenceRecord(number=number, kind="state", at=NOW, site=None, fields={}) for number in range(1, 4)]
        return [record for record in records if record.number >= first][:count]


class Sites:
    """One producer that can give 5 kW, and a consumer that has not reported."""

    def kind(self, site: str) -> Agent:
        """Return the kind of a site by its name."""
        return Agent.PRODUCER if site == "farm" else Agent.CONSUMER

    def status(self, site: str) -> SiteStatus:
        """Return a site that never told anything."""
        return SiteStatus(
            site=site, zone="zone-1", agent=self.kind(site), online=None, software=None, heard_at=None,
            import_limit_w=1, export_limit_w=1, points=(),
        )  # fmt: skip

    def orders(self, site: str, *, since: datetime, until: datetime) -> Sequence[SiteOrder]:
        """Return none."""
        return []

    def trades(self, site: str, *, since: datetime, until: datetime) -> Sequence[SiteTrade]:
        """Return none."""
        return []

    def settlements(self, site: str, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Return two lines that owe 150 millionths of a cent together."""
        line = StatementLine(
            interval_start=since, version=1, metered_wh=10, traded_wh=8, imbalance_wh=2, imbalance_mct_per_kwh=40,
            trades_uct=100, imbalance_uct=80, fees_uct=20, demand_response_uct=0, estimated=False,
        )  # fmt: skip
        return [line, line.model_copy(update={"trades_uct": -150})]

    def zone(self, site: str) -> str:
        """Return the only zone."""
        return "zone-1"

    def flexibility(self, site: str, *, direction: str, duration_s: int, at: datetime) -> Flexibility:
        """Return 5 kW for the producer."""
        known = site == "farm"
        return Flexibility(site=site, seen_at=NOW if known else None, parts=(), change_w_max=5_000 if known else 0)


def ports(market: Market | None = None) -> Ports:
    """Return ports that are held to their protocols."""
    at_market: MarketPort = market or Market()
    forecasts: ForecastPort = Forecasts()
    grid: GridPort = Grid()
    sites: SitePort = Sites()
    none: Any = None  # These skills ask nobody else.
    return Ports(
        market=at_market,
        rules=none,
        forecasts=forecasts,
        grid=grid,
        sites=sites,
        books=none,
        plans=none,
        outlook=none,
        relief=none,
        joins=none,
        records=none,
        set_aside=none,
        fleet=none,
    )


def test_market_status_shows_price_volume_and_halt() -> None:
    """The supervisor's first question."""
    answer = skill("market_status").call(ports(), {"zone": "zone-1"}, now=NOW)
    assert answer.last_price_mct_per_kwh == 24_000 and answer.volume_wh == 1_000 and len(answer.products) == 3
    narrow = skill("market_status").call(ports(), {"zone": "zone-1", "hours_back": 0}, now=NOW)
    assert [each.price_mct_per_kwh for each in narrow.products] == [None]


def test_price_discovery_shows_offers_and_what_has_cleared() -> None:
    """What is still open is worth what is offered; what has cleared, what it cleared at."""
    answer = skill("price_discovery").call(ports(), {"zone": "zone-1"}, now=NOW)
    assert [(quote.best_buy_mct_per_kwh, quote.best_sell_mct_per_kwh) for quote in answer.quotes] == [(20_000, 22_000)]
    assert [product.price_mct_per_kwh for product in answer.cleared] == [21_000, 24_000]


def test_a_market_is_sound_while_at_most_the_entry_in_hand_is_not_stored() -> None:
    """A writer is always at one entry; two that are not stored are a writer that died."""
    assert not skill("market_health").call(ports(), {"zone": "zone-1"}, now=NOW).sound
    assert skill("market_health").call(ports(Market(stored=8)), {"zone": "zone-1"}, now=NOW).sound


def test_a_halt_stands_until_it_is_resumed() -> None:
    """The kill switch says what it did."""
    market = Market()
    halted = skill("halt_market").call(ports(market), {"zone": "zone-1", "reason": "price feed wrong"}, now=NOW)
    assert halted.halted == "price feed wrong" and market.reason == "price feed wrong"
    assert skill("resume_market").call(ports(market), {"zone": "zone-1"}, now=NOW).halted is None


def test_a_claim_is_decided_once_and_by_name() -> None:
    """Money moves on a person's word; a second word on the same claim finds nothing."""
    market = Market()
    word = {"zone": "zone-1", "site": "home-1", "event": "e1", "approve": True, "by": "ann", "reason": "looked at"}
    assert skill("market_claims").call(ports(market), {"zone": "zone-1"}, now=NOW).claims[0].claimed_uct == 12_000_000
    assert skill("decide_claim").call(ports(market), word, now=NOW).claims == ()
    assert [(one.by, one.approve) for one in market.decided] == [("ann", True)]
    with pytest.raises(SkillError, match="nothing was decided"):
        skill("decide_claim").call(ports(market), word, now=NOW)
    assert skill("market_estimates").call(ports(market), {"zone": "zone-1"}, now=NOW).settlements[0].method == "worst"


def test_a_forecast_of_the_past_is_no_forecast() -> None:
    """An old issue must not be mistaken for tomorrow."""
    question = {"zone": "zone-1", "kind": "load", "site": "home-1"}
    assert skill("forecast").call(ports(), question, now=NOW).forecast.p50 == (2, 2)
    assert skill("forecast").call(ports(), question, now=NOW + timedelta(minutes=30)).forecast is None
    assert skill("forecast").call(ports(), {**question, "kind": "pv"}, now=NOW).forecast is None


def test_grid_status_shows_loading_and_events() -> None:
    """How full, and what is done about it."""
    answer = skill("grid_status").call(ports(), {"feeder": "feeder-1"}, now=NOW)
    assert answer.supply[0].value == 49.98
    assert answer.loading_percent == 97.0 and answer.events[0].delivered_wh == 1_200
    unknown = skill("grid_status").call(ports(), {"feeder": "feeder-9"}, now=NOW)
    assert unknown.state is None and unknown.events == ()


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("halt_market", {"zone": "zone-1"}, "halt_market: reason"),
        ("market_status", {"zone": "zone-1", "hours_back": 99}, "market_status: hours_back"),
        ("market_status", {"zone": "Zone 1"}, "market_status: zone"),
        ("grid_status", {"feeder": "feeder-1", "limit_w": 5}, "grid_status: limit_w"),
    ],
)
def test_arguments_out_of_bounds_are_refused_and_nothing_is_done(
    name: str, arguments: dict[str, object], sentence: str
) -> None:
    """A model may ask for anything; the form decides."""
    market = Market()
    with pytest.raises(SkillError, match=sentence):
        skill(name).call(ports(market), arguments, now=NOW)
    assert market.reason is None


def test_an_unknown_skill_is_named_with_those_there_are() -> None:
    """The sentence helps the one who asks."""
    with pytest.raises(SkillError, match="no skill 'fly'; there are market_status"):
        skill("fly")


def test_every_skill_has_a_schema_and_only_these_act() -> None:
    """Doors are generated from this list."""
    assert {each.name for each in SKILLS if each.effect is Effect.ACTS} == {
        "halt_market",
        "resume_market",
        "decide_claim",
        "open_event",
        "close_event",
        "decide_join",
        "replay_record",
        "drop_record",
        "decide_proposal",
        "fleet_set",
        "fleet_update",
        "set_market_parameters",
        "set_response_programme",
        "producer_set_reserve",
        "consumer_set_reserve",
    }
    for each in SKILLS:
        assert each.question.model_json_schema()["additionalProperties"] is False
        assert each.answer.model_json_schema() and each.promise.endswith(".")


def test_a_skill_whose_answer_has_rows_of_single_sites_says_so() -> None:
    """What a household did may not leave the machine because a zone was asked about."""

    def rows_of_sites(schema: dict[str, Any]) -> bool:
        forms = [schema, *schema.get("$defs", {}).values()]
        return any({"site", "buy_site", "applicant"} & set(form.get("properties", {})) for form in forms)

    # These answer for one site only where the question names it, which is checked when it is asked.
    by_question = {"forecast", "forecast_broadcast"}
    for each in SKILLS:
        if each.scope is Scope.CLOUD:  # Their texts and names of gateways tell of sites in no field of that name.
            assert each.shows_sites, each.name
        elif each.scope is not Scope.SITE and each.name not in by_question:
            assert each.shows_sites is rows_of_sites(each.answer.model_json_schema()), each.name


def test_each_of_the_five_agents_has_skills_and_no_name_is_given_twice() -> None:
    """A door shows an agent whole."""
    assert all(skills_of(agent) for agent in Agent)
    assert len({each.name for each in SKILLS}) == len(SKILLS)


def test_evidence_is_read_on_from_where_it_stopped() -> None:
    """An event of hours has more records than one answer."""
    question = {"feeder": "feeder-1", "event_id": "dr-1", "count": 2}
    first = skill("event_evidence").call(ports(), question, now=NOW)
    assert [record.number for record in first.records] == [1, 2] and first.next == 3
    last = skill("event_evidence").call(ports(), {**question, "first": first.next}, now=NOW)
    assert [record.number for record in last.records] == [3] and last.next is None


def test_an_offer_is_judged_against_what_the_site_can_do_and_orders_nothing() -> None:
    """A promise beyond the battery would be paid for and not kept."""
    offer = {"site": "farm", "change_w": 5_000, "duration_s": 1_800, "price_mct_per_kwh": 20_000}
    good = skill("producer_response_offer").call(ports(), offer, now=NOW)
    assert good.accepted and good.cost_uct == 2_500 * 20_000
    beyond = skill("producer_response_offer").call(ports(), {**offer, "change_w": 5_001}, now=NOW)
    assert not beyond.accepted and "5001 W, above the 5000 W" in beyond.reason
    silent = skill("consumer_response_offer").call(ports(), {**offer, "site": "home-1"}, now=NOW)
    assert not silent.accepted and "not reported" in silent.reason


def test_a_statement_adds_what_its_lines_owe() -> None:
    """The sum is what the bill says."""
    assert skill("producer_statement").call(ports(), {"site": "farm"}, now=NOW).total_uct == 150


def test_a_consumer_is_not_answered_for_by_the_producers_agent() -> None:
    """A wrong name would look like an empty site."""
    with pytest.raises(SkillError, match="home-1 is a consumer, not a producer"):
        skill("producer_status").call(ports(), {"site": "home-1"}, now=NOW)
