"""Which point stands for which quantity, and how far it is believed."""

from datetime import UTC, datetime

from contracts.units import Quality
from edge.devices.catalogue import load_profile
from edge.devices.points import Kind
from edge.devices.resolve import resolve
from edge.devices.view import View, build_view
from edge.modbus.point import Reading

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


def reading(value: float | str | None, *, raw: int = 1, at_s: float = 100.0, quality: Quality | None = None) -> Reading:
    """Return a reading as the poller makes it."""
    if quality is None:
        quality = Quality.INVALID if value is None else Quality.GOOD
    return Reading(value=value, quality=quality, source_at=AT, raw=raw, monotonic_s=at_s)


def view(
    profile_id: str, *kinds: Kind, turned: frozenset[str] = frozenset(), use: dict[str, str] | None = None
) -> View:
    """Return the view of a shipped profile."""
    return build_view(
        resolve(load_profile(profile_id)),
        kinds=frozenset(kinds) or None,
        turned=turned,
        use=use,
        rated_w=10_000.0,
    )


def test_a_worse_source_stands_in_while_the_best_has_no_value() -> None:
    """Old Sungrow firmware has no signed battery power; the magnitude with its direction does."""
    seen = view("sungrow_sh")
    latest = {"battery_power_signed": reading(None), "battery_power_directed": reading(-700.0)}
    assert seen.snapshot(latest, 101)["battery_power_w"].value == -700
    latest = {"battery_power_signed": reading(650.0), "battery_power_directed": reading(-700.0)}
    assert seen.snapshot(latest, 101)["battery_power_w"].value == -650


def test_a_counter_never_changes_its_source() -> None:
    """Another register counts from another start; a gap is better than a jump."""
    sources = view("sunspec_generic_int", Kind.INVERTER).sources["energy_export_wh"]
    assert [source.name for source in sources] == ["m103.WH"]


def test_a_device_is_what_the_site_says() -> None:
    """The same map read as a meter shows the meter's power, read as an inverter the inverter's."""
    latest = {"m103.W": reading(5_000.0), "m203.W": reading(-3_000.0)}
    assert view("sunspec_generic_int", Kind.METER).snapshot(latest, 101)["active_power_w"].value == -3_000
    assert view("sunspec_generic_int", Kind.INVERTER).snapshot(latest, 101)["active_power_w"].value == -5_000


def test_the_installation_may_choose_and_turn() -> None:
    """A transformer mounted on its head, and a point that fits better, are a line in the configuration."""
    latest = {"power": reading(1_000.0)}
    turned = view("eastron_sdm630", turned=frozenset({"active_power_w"}))
    assert turned.snapshot(latest, 101)["active_power_w"].value == -1_000
    chosen = view("sunspec_generic_int", Kind.INVERTER, use={"active_power_w": "m701.W"})
    assert [source.name for source in chosen.sources["active_power_w"]] == ["m701.W"]


def test_an_inverter_that_boots_says_nothing() -> None:
    """Fronius sends zeros and state 7 while it starts: no zero of it is a measurement."""
    seen = view("fronius_gen24_int", Kind.INVERTER, Kind.BATTERY)
    latest = {
        "m103.St": reading("FAULT", raw=7),
        "m103.Hz": reading(0.0, raw=0),
        "m103.PhVphA": reading(0.0, raw=0),
        "m103.W": reading(0.0, raw=0),
    }
    assert seen.snapshot(latest, 101)["active_power_w"].quality is Quality.INVALID
    latest["m103.Hz"] = reading(50.0, raw=5000)
    assert seen.snapshot(latest, 101)["active_power_w"].quality is Quality.GOOD


def test_what_has_aged_is_stale_and_keeps_its_time() -> None:
    """Three periods, but not before five seconds; the source time never moves."""
    seen = view("eastron_sdm630")
    latest = {"power": reading(1_000.0)}
    assert seen.snapshot(latest, 105)["active_power_w"].quality is Quality.GOOD
    aged = seen.snapshot(latest, 105.1)["active_power_w"]
    assert (aged.quality, aged.value, aged.source_at, aged.monotonic_s) == (Quality.STALE, 1_000, AT, 100)


def test_what_cannot_be_is_discarded_and_counted_once() -> None:
    """A voltage of 2300 V is a wrong scale, not an emergency; one reading counts once however often it is looked at."""
    seen = view("eastron_sdm630")
    latest = {"voltage_l1": reading(2_300.0)}
    for _ in range(3):
        assert seen.snapshot(latest, 101)["voltage_l1_v"].quality is Quality.INVALID
    assert seen.quarantine.counts == {"voltage_l1_v": 1}


def test_a_derived_value_is_as_good_as_its_worst_part() -> None:
    """Charging less discharging is no number while one of them is none."""
    seen = view("fronius_gen24_int", Kind.INVERTER, Kind.BATTERY)
    parts = {"m160.DCW[3]": reading(500.0), "m160.DCW[4]": reading(0.0, at_s=90.0)}
    answer = seen.snapshot(parts, 101)["battery_power_w"]
    assert (answer.value, answer.quality, answer.monotonic_s) == (500, Quality.STALE, 90)
    parts["m160.DCW[4]"] = reading(None)
    assert seen.snapshot(parts, 101)["battery_power_w"].value is None
