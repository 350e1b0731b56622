"""What an operator may change from afar, and what stays as the installer wrote it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import SiteConfig
from edge.errors import ConfigError
from edge.fleet.shadow import ShadowName
from edge.site.remote_settings import HOUSE, RemoteSettings, laid_over, read_at_start
from tests.support.rigs.edge_parts import config

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def change(remote: RemoteSettings, shadow: ShadowName, wish: dict[str, Any]) -> None:
    """Wish, and keep it."""
    remote.keep(remote.propose(shadow, wish))


class Memory:
    """What outlives a process."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep it."""
        self.kept[key] = value

    def recall(self, key: str) -> Any:
        """Return it."""
        return self.kept.get(key)

    async def on_disk(self) -> None:
        """Return: it is kept."""


def test_the_wishes_of_both_shadows_survive_a_restart() -> None:
    """A restart without a cloud must not lift a limit."""
    memory = Memory()
    remote = RemoteSettings(config(), memory=memory)
    trading = {"gate_closure_s": 600, "import_tariff_mct_per_kwh": 1}
    change(remote, ShadowName.CONFIG, {"trading": trading, "telemetry": {"period_s": 20}})
    change(remote, ShadowName.LIMITS, {"export_limit_w": 500})
    again = RemoteSettings(config(), memory=memory).config
    assert again == remote.config
    assert (again.trading.gate_closure_s, again.trading.import_tariff_mct_per_kwh) == (600, 1)
    assert (again.telemetry.period_s, again.connection.export_limit_w) == (20, 500)


def test_the_lowest_of_the_limits_of_all_who_set_one_holds() -> None:
    """A program of the house that lets go must not lift what the operator of a fleet asks."""
    remote = RemoteSettings(config(), memory=Memory())
    remote.keep(remote.propose(HOUSE, {"export_limit_w": 300}))
    change(remote, ShadowName.LIMITS, {"export_limit_w": 500})
    assert remote.config.connection.export_limit_w == 300
    remote.keep(remote.propose(HOUSE, {"export_limit_w": 900}))
    assert remote.config.connection.export_limit_w == 500
    most = remote.file.connection.export_limit_w
    with pytest.raises(ConfigError, match=f"above the {most} of the site's file"):
        remote.propose(HOUSE, {"export_limit_w": most + 1})


def test_a_wish_takes_the_place_of_what_was_wished_before() -> None:
    """What the operator withdrew is withdrawn; the site's file holds again."""
    memory = Memory()
    remote = RemoteSettings(config(), memory=memory)
    change(remote, ShadowName.CONFIG, {"trading": {"gate_closure_s": 600}, "telemetry": {"period_s": 20}})
    change(remote, ShadowName.CONFIG, {"telemetry": {"period_s": 30}})
    assert remote.config.trading == config().trading
    assert remote.config.telemetry.period_s == 30
    change(remote, ShadowName.CONFIG, {})
    assert remote.config == config()


@pytest.mark.parametrize(
    ("shadow", "wish", "says"),
    [
        (ShadowName.CONFIG, {"devices": []}, "devices is none of control, telemetry, trading"),
        (ShadowName.CONFIG, {"commands": {"trusted": []}}, "commands is none of"),
        (ShadowName.CONFIG, {"control": {"colour": 1}}, "control.colour is none of"),
        (ShadowName.CONFIG, {"control": 1}, "control is 1, must hold"),
        (ShadowName.CONFIG, {"control": {"period_s": 60}}, "period_s is 60, must be less than or equal to 10"),
        (ShadowName.LIMITS, {"meter": "other"}, "limits.meter is none of"),
        (ShadowName.LIMITS, {"import_limit_w": 17_001}, "above the 17000 of the site's file"),
        (ShadowName.LIMITS, {"battery_reserve_percent": 100}, "is 100, not a number from 0 to below 100"),
        (ShadowName.LIMITS, {"battery_reserve_percent": "40"}, "is '40', not a number"),
        (ShadowName.LIMITS, {"battery_reserve_percent": True}, "is True, not a number"),
        (ShadowName.LIMITS, {"battery_reserve_percent": 40, "export_limit_w": 10**6}, "above the"),
        (ShadowName.LIMITS, {"export_limit_w": -1}, "export_limit_w is -1, must be greater than or equal to 0"),
    ],
)
def test_what_is_not_allowed_changes_nothing(shadow: ShadowName, wish: dict[str, Any], says: str) -> None:
    """Whoever holds the fleet's console cannot trust a new issuer, move a device or raise a fuse."""
    memory = Memory()
    remote = RemoteSettings(config(), memory=memory)
    before = remote.config
    with pytest.raises(ConfigError, match=says):
        change(remote, shadow, {"telemetry": {"period_s": 5}, **wish} if shadow is ShadowName.CONFIG else wish)
    assert remote.config is before
    assert memory.kept == {}


def test_a_reserve_is_kept_beside_a_limit_and_never_lowers_what_the_file_keeps() -> None:
    """What the installer keeps for an outage is not given away from afar."""
    file = config()
    levels = []
    for percent in (40, 1):
        made = laid_over(file, {"limits": {"battery_reserve_percent": percent, "export_limit_w": 500}})
        assert made.connection.export_limit_w == 500
        levels += [one.battery.soc_min_percent for one in made.devices if one.battery is not None]
    assert levels == [40.0, 5.0]


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_no_wish_raises_a_limit_above_the_file(import_w: int, export_w: int) -> None:
    """The file is the outer bound."""
    file = config()
    try:
        after = laid_over(file, {"limits": {"import_limit_w": import_w, "export_limit_w": export_w}})
    except ConfigError:
        return
    assert 0 < after.connection.import_limit_w <= file.connection.import_limit_w
    assert 0 <= after.connection.export_limit_w <= file.connection.export_limit_w


def test_a_wish_that_a_newer_file_forbids_is_dropped() -> None:
    """An old wish must not keep a site from starting."""
    memory = Memory()
    change(RemoteSettings(config(), memory=memory), ShadowName.LIMITS, {"import_limit_w": 16_000})
    narrow = config(connection={"meter": "meter", "import_limit_w": 9_000, "export_limit_w": 1_000})
    assert RemoteSettings(narrow, memory=memory).config == narrow
    assert RemoteSettings(config(), memory=memory).config == config()


def test_only_what_is_read_at_a_start_needs_one() -> None:
    """A restart costs a site seconds of control."""
    file = config()
    hot = laid_over(file, {"config": {"telemetry": {"period_s": 5}, "control": {"idle": "hold"}}})
    cold = laid_over(file, {"config": {"control": {"period_s": 2}}})
    assert read_at_start(file, hot) == ()
    assert read_at_start(file, cold) == ("control.period_s",)


def fleet_config(**changes: Any) -> SiteConfig:
    """Return a site of a fleet."""
    link = {"url": "mqtts://localhost", **changes.pop("link", {})}
    return config(fleet={"update_key": KEY, **changes.pop("fleet", {})}, link=link, **changes)


def test_the_link_of_a_fleets_gateway_has_its_active_certificate() -> None:
    """A renewal moves one folder; nobody edits a file."""
    plain = fleet_config()
    assert plain.fleet is not None and plain.link is not None
    assert (plain.fleet.identity_dir, plain.fleet.software_dir) == (Path("state/identity"), Path("state/software"))
    assert plain.link.cert_file == Path("state/identity/active/cert.pem")
    assert plain.link.key_file == Path("state/identity/active/key.pem")
    moved = fleet_config(fleet={"identity_dir": "/keys"}, link={"client": "aws"})
    assert moved.link is not None
    assert moved.link.cert_file == Path("/keys/active/cert.pem")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fleet": {"update_key": "short"}}, "update_key"),
        ({"fleet": {"colour": 1}}, "colour"),
        ({"link": {"url": "mqtt://localhost"}}, "cert_file needs a TLS url"),
    ],
)
def test_a_fleet_section_that_cannot_work_is_refused(changes: dict[str, Any], says: str) -> None:
    """At the start, not when the first update comes."""
    with pytest.raises(ValueError, match=says):
        fleet_config(**changes)


def test_who_signs_in_at_the_page_stays_within_the_file_and_below_the_operator() -> None:
    """The file is the outer bound for everybody; of two limits the lower one holds."""
    file = config(trading={"enabled": False, "charge_from_grid": False})
    wished = {"limits": {"export_limit_w": 400}, "control": {"idle": "hold"}, "trading": {"tariff": "flat"}}
    found = laid_over(file, {"page": wished})
    assert (found.connection.export_limit_w, found.control.idle.value, found.trading.tariff) == (400, "hold", "flat")
    for operators, holds in ((300, 300), (500, 400)):
        both = laid_over(file, {"page": wished, "limits": {"export_limit_w": operators}})
        assert both.connection.export_limit_w == holds
    assert (
        laid_over(file, {"page": wished, "config": {"control": {"idle": "self_consumption"}}}).control.idle
        == "self_consumption"
    )
    for wrong, says in (
        ({"limits": {"export_limit_w": file.connection.export_limit_w + 1}}, "above the"),
        ({"trading": {"charge_from_grid": True}}, "forbids it"),
        ({"trading": {"enabled": True}}, "trading.enabled is none of"),
        ({"telemetry": {"period_s": 5}}, "telemetry is none of"),
        ({"trading": {"tariff": "none-such"}}, "none-such"),
    ):
        with pytest.raises(ConfigError, match=says):
            laid_over(file, {"page": wrong})
