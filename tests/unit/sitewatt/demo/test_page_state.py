"""The page shows what was heard: powers with their sign, local time, and the course of the run."""

from datetime import UTC, datetime, timedelta

from contracts.market import MarketBroadcast, ProductState
from firmware_sim.series import Week
from sitewatt.demo.neighbourhood import neighbourhood
from sitewatt.demo.page_state import POINTS_MAX, Course, Stage, coalesced, instant
from sitewatt.demo.watch import NeighbourhoodView, SiteView

NOW = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
PLACE = neighbourhood(sites=3, week=Week.SUNNY)


def _view() -> NeighbourhoodView:
    view = NeighbourhoodView()
    view.sites["home-1"] = SiteView(online=True, values={"meter/active_power_w": -800.0, "inverter/pv_power_w": -900.0})
    view.sites["home-1"].settled_uct = {NOW: -2_000_000, NOW + timedelta(minutes=15): 500_000}
    return view


def test_an_instant_tells_each_site_and_what_it_was_settled_at() -> None:
    """A site that gets money is shown a positive amount, as people say it; the wire says what it owes."""
    shown = instant(_view(), PLACE, now=NOW, speed=30, stage=Stage.RUNNING)
    home = next(site for site in shown["sites"] if site["id"] == "home-1")
    assert (home["connection_w"], home["pv_w"], home["earned_uct"]) == (-800.0, -900.0, 1_500_000)
    assert shown["at"] == "2026-03-17T13:00:00+01:00"
    assert shown["feeder"] == {
        "power_w": None, "limit_w": PLACE.feeder.limit_w, "state": "normal", "event": None, "disturbances": [],
    }  # fmt: skip


def test_only_intervals_around_now_are_shown() -> None:
    """A market that trades a day ahead would fill the page with what nobody looks at."""
    view = _view()
    for hours in (-5, 0, 5):
        start = NOW + timedelta(hours=hours)
        view.intervals[start] = MarketBroadcast(
            zone="zone-1", interval_start=start, issued_at=NOW, state=ProductState.CLEARED, price_mct_per_kwh=9_000
        )
    shown = instant(view, PLACE, now=NOW, speed=30, stage=Stage.RUNNING)
    assert [one["start"] for one in shown["intervals"]] == ["2026-03-17T13:00:00+01:00"]


def test_what_happens_again_and_again_is_one_line() -> None:
    """Twelve equal lines hide the thirteenth."""
    later = NOW + timedelta(seconds=5)
    news = [(NOW, "a"), (NOW, "b"), (later, "b"), (later, "a")]
    assert coalesced(news) == [(NOW, "a", 1), (later, "b", 2), (later, "a", 1)]


def test_the_course_is_given_from_where_a_page_has_it() -> None:
    """A page that asks each second must not load the whole run each second."""
    course, view = Course(), _view()
    for second in range(4):
        course.note(view, PLACE, now=NOW + timedelta(seconds=second))
    rest = course.since(3)
    assert (rest["first"], len(rest["at_ms"]), rest["sites_w"]["home-1"], rest["feeder_w"]) == (3, 1, [-800.0], [None])
    assert course.since(99)["first"] == 4


def test_a_long_run_keeps_a_bounded_course() -> None:
    """A day of demonstration must not fill the memory of a browser."""
    course, view = Course(), _view()
    for second in range(POINTS_MAX + 5):
        course.note(view, PLACE, now=NOW + timedelta(seconds=second))
    assert len(course.at_ms) == len(course.feeder_w) == len(course.sites_w["home-1"]) == POINTS_MAX
