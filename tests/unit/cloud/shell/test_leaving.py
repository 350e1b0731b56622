"""A site that is taken out of the registry leaves the market at the next tick; its account closes when it is final."""

from dataclasses import replace
from pathlib import Path

import pytest

from cloud.errors import SetupError
from cloud.market.engine import Engine
from cloud.shell import services as shell_services
from cloud.shell.market.reading import read_fold
from cloud.shell.services import Services
from cloud.stores.registry import Registry
from contracts.market import OrderStatus, Side, TradesMessage
from tests.support.cloud.sites import ZONE, house_in, reading
from tests.support.market.shell import INTERVAL, Event, meters_at, order_of, orders_at, run_events, tick_at

FINAL_MIN = 42 * 24 * 60


def engine_of(services: Services) -> Engine:
    """Return the market's engine as its journal has it."""
    fold = read_fold(services.stores.tables, ZONE)
    assert fold is not None
    return fold.engine


def without(registry: Registry, site: str) -> Registry:
    """Return a registry without a site."""
    return registry.model_copy(update={"sites": tuple(one for one in registry.sites if one.id != site)})


def traded() -> list[Event]:
    """Return a market in which the farm sold the factory 1000 Wh and has more on offer."""
    sale, purchase = order_of("farm", 1, Side.SELL, 2_000, 9_000), order_of("factory", 1, Side.BUY, 1_000, 20_000)
    return [tick_at(0), orders_at(1, sale, purchase)]


def test_a_site_that_left_the_registry_is_settled_for_what_it_traded_and_closed(tmp_path: Path) -> None:
    """It was settled by estimate for ever, and every interval waited for its meter."""
    with house_in(tmp_path) as (services, publisher):
        run_events(services, traded())
        smaller = replace(services, registry=without(services.registry, "farm"))
        run_events(smaller, [tick_at(2)])
        notices = [TradesMessage.decode(payload) for payload in publisher.on("farm/trades")]
        last = notices[-1].results[-1]
        assert (last.status, last.traded_wh) == (OrderStatus.CANCELLED, 1_000)
        assert last.reason is not None and "not in the registry" in last.reason
        later = [
            reading(site, 1, INTERVAL, import_wh=1_000) for site in ("factory", "home-1", "home-2")
        ]  # fmt: skip
        run_events(smaller, [tick_at(30), meters_at(31, *later), tick_at(50)])
        engine = engine_of(smaller)
        assert engine.departed()[0].open_intervals == 1 and engine.balances()["farm"][0] != 0
        run_events(smaller, [tick_at(FINAL_MIN), tick_at(FINAL_MIN + 1)])
        engine = engine_of(smaller)
        assert not engine.departed() and engine.balances()["farm"][0] == 0 and engine.ledger_sums() == (0, 0)
        assert "farm" not in {one.site for one in engine.participants()}


def test_a_site_that_joined_since_this_process_looked_does_not_leave(tmp_path: Path) -> None:
    """A warm process knows the registry of a minute ago; another one may have registered the site meanwhile."""
    with house_in(tmp_path) as (services, _):
        run_events(services, traded())
        registry = services.registry
        stale = replace(services, registry=without(registry, "farm"), reread=lambda: registry, memory={})
        run_events(stale, [tick_at(2)])
        assert not engine_of(services).departed()


def test_a_registry_that_cannot_be_read_takes_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    """A broken file is no reason to cancel everybody's orders; the market moves on."""

    def unreadable() -> Registry:
        raise SetupError("registry file cannot be read")

    with house_in(tmp_path) as (services, _):
        run_events(services, traded())
        stale = replace(services, registry=without(services.registry, "farm"), reread=unreadable, memory={})
        run_events(stale, [tick_at(16)])
        assert not engine_of(services).departed()
        assert "no site leaves" in caplog.text


def test_services_that_others_built_read_the_registry_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A private cloud runs for months: a site that a person let in takes part within a minute, without a restart."""
    now_s = [1000.0]
    monkeypatch.setattr("cloud.shell.services.time.monotonic", lambda: now_s[0])
    with house_in(tmp_path) as (services, _):
        whole = services.registry
        shell_services.install(replace(services, registry=without(whole, "farm"), reread=lambda: whole))
        assert shell_services.current().registry.site("farm") is None
        now_s[0] += shell_services.REGISTRY_AGE_S_MAX + 1
        assert shell_services.current().registry.site("farm") is not None
