"""The laws that no snapshot, request or history may break."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.control.cycle import decide
from edge.control.model import (
    BATTERIES,
    CONNECTION,
    LOADS,
    AssetState,
    Capability,
    ControlSettings,
    Decision,
    Memory,
    Priority,
    Request,
    Resource,
    Snapshot,
    lever,
)
from tests.support.rigs.control import battery, charger, good, hybrid, load, pv, request, snapshot

SITE = ControlSettings(import_w_max=17_000, export_w_max=10_000)
ANY = st.integers(-20_000, 20_000).map(float)
SLACK_W = 1e-3


@st.composite
def assets(draw: st.DrawFn) -> tuple[AssetState, ...]:
    """Draw up to four assets: batteries, generators, a hybrid, a load, some out of reach."""
    found: list[AssetState] = []
    for index in range(draw(st.integers(0, 2))):
        found.append(
            battery(
                f"bat{index}",
                draw(st.integers(-5_000, 5_000)),
                soc_percent=draw(st.sampled_from([0.0, 5.0, 50.0, 100.0])),
                online=draw(st.booleans()),
                efficiency=draw(st.sampled_from([0.9, 0.95])),
                ramp_w_per_s=draw(st.none() | st.just(200.0)),
                last_power_w=draw(st.none() | st.just(-500.0)),
            )
        )
    if draw(st.booleans()):
        found.append(pv("pv", -draw(st.integers(0, 8_000)), online=draw(st.booleans())))
    if draw(st.booleans()):
        found.append(hybrid(pv_w=-draw(st.integers(0, 10_000)), battery_w=draw(st.integers(-5_000, 5_000))))
    if draw(st.booleans()):
        found.append(load(power_w=draw(st.integers(0, 2_000)), on=draw(st.booleans())))
    if draw(st.booleans()):
        follows = draw(st.booleans())
        found.append(charger(power_w=draw(st.integers(0, 11_000)), online=draw(st.booleans()), follows_surplus=follows))
    return tuple(found)


@st.composite
def wishes(draw: st.DrawFn) -> list[Request]:
    """Draw requests on everything a site might have."""
    resources: list[Resource] = [CONNECTION, BATTERIES]
    resources += [lever(name, Capability.BATTERY_POWER) for name in ("bat0", "bat1", "hybrid")]
    resources += [lever(name, Capability.LIMIT_GENERATION) for name in ("pv", "hybrid")]
    resources += [LOADS, lever("ev", Capability.LIMIT_CONSUMPTION)]
    return [
        request(
            f"r{index}",
            draw(st.sampled_from(resources)),
            draw(st.sampled_from(list(Priority)[2:])),
            min_w=draw(st.just(float("-inf")) | ANY),
            max_w=draw(st.just(float("inf")) | ANY),
            preferred_w=draw(st.none() | ANY),
            expires_s=draw(st.sampled_from([50.0, 150.0, 1e9])),
        )
        for index in range(draw(st.integers(0, 5)))
    ]


@st.composite
def cycles(draw: st.DrawFn) -> list[tuple[Snapshot, list[Request]]]:
    """Draw a few cycles of one site, the clock rising."""
    own = draw(assets())
    return [
        (snapshot(draw(st.none() | ANY), *own, at_s=100.0 + second), draw(wishes()))
        for second in range(draw(st.integers(1, 3)))
    ]


def run(drawn: list[tuple[Snapshot, list[Request]]]) -> list[tuple[Snapshot, list[Request], Decision]]:
    """Return the decisions of all cycles."""
    memory, found = Memory(), []
    for seen, asked in drawn:
        decision, memory = decide(seen, asked, SITE, memory)
        found.append((seen, asked, decision))
    return found


@given(cycles())
def test_no_setpoint_leaves_the_envelope_of_its_device(drawn: list[tuple[Snapshot, list[Request]]]) -> None:
    """Device protection stands above everybody, in every cycle, with every history."""
    for seen, _, decision in run(drawn):
        by_id = {asset.id: asset for asset in seen.assets}
        for point in decision.setpoints:
            asset = by_id[point.asset]
            assert asset.online
            if point.value_w is None:
                continue
            if point.capability is Capability.BATTERY_POWER:
                soc = asset.soc_percent.value if asset.soc_percent else None
                assert soc is not None
                assert -5_000 <= point.value_w <= 5_000
                assert point.value_w <= 0 or soc < asset.soc_percent_max
                assert point.value_w >= 0 or soc > asset.soc_percent_min
            elif point.capability is Capability.LIMIT_GENERATION:
                assert 0 <= point.value_w <= asset.generation_rated_w
            elif point.capability is Capability.LIMIT_CONSUMPTION:
                assert point.value_w == 0 or asset.load_w_min <= point.value_w <= asset.load_rated_w


@given(cycles())
def test_the_same_snapshot_gives_the_same_decision(drawn: list[tuple[Snapshot, list[Request]]]) -> None:
    """A decision can be replayed from its record."""
    assert run(drawn) == run(drawn)


@given(cycles())
def test_no_setpoint_outlives_a_request_that_shaped_it(drawn: list[tuple[Snapshot, list[Request]]]) -> None:
    """The device timer is armed from the setpoint's end."""
    for seen, asked, decision in run(drawn):
        ends = {item.requester: item.expires_s for item in asked}
        for point in decision.setpoints:
            assert point.expires_s <= seen.taken_s + 60.0
            assert point.expires_s <= ends.get(point.requester, float("inf"))


@given(
    st.integers(0, 15_000),
    st.integers(0, 8_000),
    st.lists(st.integers(-5_000, 5_000), min_size=0, max_size=3),
    st.none() | st.integers(0, 10_000),
    st.none() | st.integers(0, 10_000),
)
@settings(max_examples=200)
def test_the_connection_point_keeps_its_bounds_wherever_the_levers_reach(
    load_w: int, sun_w: int, batteries_w: list[int], import_w: int | None, export_w: int | None
) -> None:
    """The sum of load, generation and batteries after the setpoints stays within the limits, or the excess is told."""
    own = [battery(f"bat{index}", power_w) for index, power_w in enumerate(batteries_w)]
    connection_w = load_w - sun_w + sum(batteries_w)
    asked = []
    if import_w is not None:
        asked.append(request("dso-in", CONNECTION, Priority.GRID_OPERATOR, max_w=import_w))
    if export_w is not None:
        asked.append(request("dso-out", CONNECTION, Priority.GRID_OPERATOR, min_w=-export_w))
    decision, _ = decide(snapshot(connection_w, *own, pv("pv", -sun_w)), asked, SITE, Memory())
    powers = {point.asset: point.value_w for point in decision.setpoints}
    cap_w = powers.pop("pv")
    generated_w = sun_w if cap_w is None else min(sun_w, cap_w)
    after_w = load_w - generated_w + sum(value or 0.0 for value in powers.values())
    assert decision.connection.min_w - decision.export_excess_w - SLACK_W <= after_w
    assert after_w <= decision.connection.max_w + decision.import_excess_w + max(0, sun_w - generated_w) + SLACK_W
    assert decision.expected_w is not None
    assert abs(decision.expected_w - after_w) <= SLACK_W
    if decision.import_excess_w > SLACK_W:
        assert all(value == -5_000 for value in powers.values())


@given(st.integers(-15_000, 15_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_lower_request_never_loosens_what_the_grid_operator_left(load_w: int, limit_w: int, wish_w: int) -> None:
    """Whatever the market wishes, the site's import stays where the limit put it, or lower."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=limit_w)
    wish = request("agg", BATTERIES, Priority.MARKET_DR, min_w=wish_w, max_w=wish_w, preferred_w=wish_w)
    seen = snapshot(load_w, battery("bat"))
    alone, _ = decide(seen, (limit,), SITE, Memory())
    both, _ = decide(seen, (limit, wish), SITE, Memory())
    assert both.connection == alone.connection
    assert both.import_excess_w == alone.import_excess_w
    assert both.expected_w is not None
    assert both.expected_w <= max(limit_w, load_w - 5_000) + SLACK_W


def test_phases_are_read_from_the_snapshot_alone() -> None:
    """A plain example beside the laws: a site with phases metered decides as one without where no fuse is set."""
    seen = snapshot(3_000, battery("bat"))
    phased = Snapshot(
        taken_s=0,
        connection_power=seen.connection_power,
        phase_power=(good(1_000), good(1_000), good(1_000)),
        assets=seen.assets,
    )
    assert decide(seen, (), SITE, Memory()) == decide(phased, (), SITE, Memory())
