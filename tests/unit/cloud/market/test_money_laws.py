"""Laws of money over random books and meters: what cannot be is held, and nothing is paid without a reading."""

from collections.abc import Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import Participant
from tests.support.branches import Branches
from tests.support.market.streams import T0_MS, rules

FIRST = T0_MS + INTERVAL_MS
END = FIRST + INTERVAL_MS
LATE = END + 600_000
DAY_MS = 86_400_000
CONNECTION_WH = 2000
CARRIED_WH = 2200
SITES = ("farm", "home-1", "home-2", "mill", "roof")

Order = tuple[str, str, int, int]
sides = st.sampled_from(["buy", "sell"])
books = st.lists(st.tuples(st.sampled_from(SITES), sides, st.integers(1, 700), st.integers(-20, 60)), max_size=7)
below_zero = st.tuples(st.permutations(SITES), st.integers(1, 700), st.integers(-20, -1)).map(
    lambda drawn: [(drawn[0][0], "buy", drawn[1], drawn[2]), (drawn[0][1], "sell", 2 * drawn[1], -20)]
)
nets = st.fixed_dictionaries({site: st.integers(-1800, 1800) for site in SITES})


def market(book: Sequence[Order] = (), *, without: str = "", **changes: Any) -> Engine:
    """Return a market of all sites after delivery; the orders came one after another, but those of one site."""
    engine = Engine(rules(**{"mechanism": "call", "fee_mct_per_kwh": 0} | changes))
    for site in SITES:
        participant = Participant(site=site, import_limit_wh=CONNECTION_WH, export_limit_wh=CONNECTION_WH)
        engine.apply(commands.register(participant, at_ms=T0_MS))
    for number, (site, side, quantity_wh, price) in enumerate(book):
        if site != without:
            order = {"op": "new", "at_ms": T0_MS, "site": site, "order_id": f"o{number}", "interval_ms": FIRST}
            engine.apply(order | {"side": side, "quantity_wh": quantity_wh, "price_mct_per_kwh": price})
    engine.apply(commands.tick(at_ms=END))
    return engine


def read(engine: Engine, site: str, net_wh: int, **more: Any) -> None:
    """Take a reading."""
    reading = {"op": "meter", "at_ms": END, "site": site, "interval_ms": FIRST, "version": 1}
    engine.apply(reading | {"import_wh": max(net_wh, 0), "export_wh": max(-net_wh, 0)} | more)


def owed(engine: Engine, site: str) -> int:
    """Return what a site owes, in millionths of a cent."""
    return engine.balances().get(site, (0, 0))[0]


SILENCE = Branches("bought below zero", "sold", "implausible", "missing", "committed")


@SILENCE
@settings(max_examples=100)
@example(
    imbalance="spread",
    book=[("mill", "buy", 400, -5), ("farm", "sell", 400, -20)],
    true_wh=dict.fromkeys(SITES, 0),
    silent={"mill": "missing"},
    committed=set(),
)
@given(
    imbalance=st.sampled_from(["spread", "single", "two-price"]),
    book=st.one_of(books, below_zero),
    true_wh=nets,
    silent=st.dictionaries(st.sampled_from(SITES), st.sampled_from(["missing", "implausible"]), min_size=2),
    committed=st.sets(st.sampled_from(SITES)),
)
def test_nothing_is_paid_without_a_reading(
    imbalance: str,
    book: list[Order],
    true_wh: dict[str, int],
    silent: dict[str, str],
    committed: set[str],
) -> None:
    """Whoever did not read gets nothing, for trades and demand response alike, at first and when that is final."""
    engine = market(book, imbalance=imbalance, final_days=2)
    lines = [
        commands.dr_line(site=site, interval_ms=FIRST, committed_wh=300, baseline_wh=1800, method="m", flags=())
        for site in sorted(committed)
    ]
    engine.apply(commands.dr_event(event="e", price_mct_per_kwh=50, penalty_mct_per_kwh=70, lines=lines, at_ms=END))
    for site, net_wh in true_wh.items():
        if site not in silent:
            read(engine, site, net_wh)
        elif silent[site] == "implausible":
            read(engine, site, -CARRIED_WH - 1 - abs(net_wh))
    engine.apply(commands.tick(at_ms=LATE))
    product = engine.product(FIRST)
    assert product is not None
    for site, how in silent.items():
        one = product.settled[site]
        assert one.estimated
        assert one.demand_response_wh == 0
        SILENCE.met(how)
        SILENCE.met("committed", site in committed)
        SILENCE.met("bought below zero", one.traded_wh > 0 > one.trades_uct)
        SILENCE.met("sold", one.traded_wh < 0)
    for at_ms in (LATE + 1, LATE + 3 * DAY_MS):
        engine.apply(commands.tick(at_ms=at_ms))
        assert {site: owed(engine, site) for site in silent if owed(engine, site) < 0} == {}
    assert engine.product(FIRST) is None, "it is final"
    assert engine.ledger_sums() == (0, 0)


said = st.one_of(st.integers(-CARRIED_WH, CARRIED_WH), st.sampled_from([CARRIED_WH + 1, -CARRIED_WH - 1, 10**9]))
HELD = Branches("held", "believed", "traded")


@HELD
@settings(max_examples=100)
@given(
    book=st.one_of(books, below_zero), said_wh=st.fixed_dictionaries({site: st.integers(-4000, 4000) for site in SITES})
)
def test_a_reading_beyond_the_connection_moves_nobody(book: list[Order], said_wh: dict[str, int]) -> None:
    """Its site stands where it would without any reading, everybody else too: to the last unit of money."""
    told, silent = market(book, imbalance="single"), market(book, imbalance="single")
    beyond = {site for site, net_wh in said_wh.items() if abs(net_wh) > CARRIED_WH}
    for site, net_wh in said_wh.items():
        read(told, site, net_wh)
        if site not in beyond:
            read(silent, site, net_wh)
    for engine in (told, silent):
        engine.apply(commands.tick(at_ms=LATE))
    stands, without = told.product(FIRST), silent.product(FIRST)
    assert stands is not None
    assert without is not None
    assert told.balances() == silent.balances()
    assert (stands.imbalance_short, stands.imbalance_long) == (without.imbalance_short, without.imbalance_long)
    for site, settled in stands.settled.items():
        held = site in beyond
        assert (settled.estimated, settled.method) == ((True, "implausible") if held else (False, "meter"))
        assert held or settled.metered_wh == said_wh[site]
        HELD.met("held" if held else "believed")
        HELD.met("traded", held and settled.traded_wh)


TRADED = Branches(
    "sale withdrawn",
    "purchase withdrawn",
    "pivotal",
    "call",
    "pay-as-bid",
    "continuous+call",
    "with the utility",
    "alone",
)
# Who offers below the export tariff, or bids above the import tariff, gives money away by itself.
within_tariffs = st.lists(
    st.tuples(st.sampled_from(SITES), st.integers(1, 400), st.integers(8, 30)), min_size=1, max_size=7
)
sides_of = st.fixed_dictionaries(dict.fromkeys(SITES, sides))


def positions(engine: Engine) -> dict[str, int]:
    """Return what each site has bought, net."""
    product = engine.product(FIRST)
    assert product is not None
    return {site: product.positions[site].net_wh if site in product.positions else 0 for site in SITES}


@TRADED
@settings(max_examples=200)
@given(
    offers=within_tariffs,
    side=sides_of,
    met_at=st.integers(0, 5),
    mechanism=st.sampled_from(["call", "pay-as-bid", "continuous+call"]),
    price_rule=st.sampled_from(["low", "middle", "high"]),
    utility_wh=st.sampled_from([None, 0, 50, 10**6]),
    off_wh=st.fixed_dictionaries({site: st.integers(-300, 300) for site in SITES}),
)
def test_withdrawing_what_was_filled_never_gains(
    offers: list[tuple[str, int, int]],
    side: dict[str, str],
    met_at: int,
    mechanism: str,
    price_rule: str,
    utility_wh: int | None,
    off_wh: dict[str, int],
) -> None:
    """Selling never earns less than not selling, whoever is pivotal, whoever else is out of balance; buying likewise.

    The site takes and gives the same in both worlds: what it sold it can deliver, what it bought it needs. Holding back
    one of several orders is another matter: whoever is large moves a common price.
    """
    book = [(site, side[site], quantity_wh, price) for site, quantity_wh, price in offers]
    site, quantity_wh, _ = offers[0]
    other_side, price = ("buy", 30) if side[site] == "sell" else ("sell", 8)
    book.insert(met_at, (SITES[SITES.index(site) - 1], other_side, quantity_wh, price))
    tariffs = {"import_mct_per_kwh": 30, "export_mct_per_kwh": 8, "import_wh": utility_wh, "export_wh": utility_wh}
    changes: dict[str, Any] = {
        "mechanism": mechanism,
        "price_rule": price_rule,
        "last_resort": None if utility_wh is None else tariffs,
    }
    engine, other = market(book, **changes), market(book, without=site, **changes)
    traded_wh = positions(engine)
    product, changed = engine.product(FIRST), other.product(FIRST)
    assert product is not None
    assert changed is not None
    pivotal = product.price != changed.price
    for world in (engine, other):
        for name, net_wh in traded_wh.items():
            read(world, name, net_wh + (0 if name == site else off_wh[name]))
        assert world.ledger_sums() == (0, 0)
    assert owed(engine, site) <= owed(other, site)
    if traded_wh[site]:
        TRADED.met("sale withdrawn" if side[site] == "sell" else "purchase withdrawn")
        TRADED.met(mechanism)
        TRADED.met("alone" if utility_wh is None else "with the utility")
        TRADED.met("pivotal", pivotal)


CLAIMS = Branches("held", "paid at once", "corrected")


@CLAIMS
@settings(max_examples=100)
@given(
    flags=st.sets(st.sampled_from(["capped", "few-days", "high-adjustment-load", "unadjusted", "fixed-clock"])),
    free=st.sets(st.sampled_from(["few-days", "unadjusted"])),
    free_uct=st.integers(0, 20_000),
    committed_wh=st.integers(1, 400),
    metered_wh=st.lists(st.integers(0, 1500), min_size=1, max_size=3),
)
def test_flags_hold_the_money_until_a_person_has_looked(
    flags: set[str], free: set[str], free_uct: int, committed_wh: int, metered_wh: list[int]
) -> None:
    """Whatever is read and corrected, a flagged claim pays nothing; once approved, what an unflagged one pays."""
    claims = {"pay_flags": sorted(free), "capped_free_uct": free_uct}
    flagged, plain = market(claims=claims), market(claims=claims)
    for engine, marks in ((flagged, tuple(sorted(flags))), (plain, ())):
        line = commands.dr_line(
            site="mill", interval_ms=FIRST, committed_wh=committed_wh, baseline_wh=1000, method="m", flags=marks
        )
        engine.apply(
            commands.dr_event(event="e", price_mct_per_kwh=50, penalty_mct_per_kwh=70, lines=[line], at_ms=END)
        )
        for version, net_wh in enumerate(metered_wh, start=1):
            read(engine, "mill", net_wh, version=version)
        engine.apply(commands.tick(at_ms=LATE))
    odd = flags - free
    held = committed_wh * 50 > free_uct if odd == {"capped"} else bool(odd)
    nothing = market(claims=claims)
    read(nothing, "mill", metered_wh[-1])
    nothing.apply(commands.tick(at_ms=LATE))
    assert owed(flagged, "mill") == owed(nothing if held else plain, "mill")
    assert [site for _, site, _ in flagged.open_claims()] == (["mill"] if held else [])
    CLAIMS.met("held" if held else "paid at once")
    CLAIMS.met("corrected", len(metered_wh) > 1)
    if held:
        for approve in (True, False):
            decided = Engine.restore(flagged.snapshot())
            decided.apply(
                commands.claim(event="e", site="mill", approve=approve, by="ann", reason="looked", at_ms=LATE)
            )
            assert owed(decided, "mill") == owed(plain if approve else nothing, "mill")
            assert decided.open_claims() == []
            assert decided.ledger_sums() == (0, 0)
    assert flagged.ledger_sums() == (0, 0)
