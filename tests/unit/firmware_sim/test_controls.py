"""What a write to an inverter's registers changes, and what its timers undo."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.bank import Table
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.plant_config import DeviceConfig, DeviceKind, Shape
from tests.support.modbus.simulator import Bench, bench, home

CHARGE, DISCHARGE = 1, 2


def hybrid(**options: object) -> Bench:
    """Return a home's hybrid on a table, without sun and with 1 kW of load."""
    config = DeviceConfig.model_validate({"id": "inverter", "kind": "sunspec_hybrid", **options})
    return bench(home(device=config, pv_peak_w=None))


def storage(one: Bench, *, mode: int, in_percent: float = 100, out_percent: float = 100, revert_s: int = 0) -> None:
    """Write a storage order as a gateway does: rates and timer in one block, then the mode."""
    one.write(124, "OutWRte", out_percent * 100, in_percent * 100, 0, revert_s, 0)
    one.write(124, "StorCtl_Mod", mode)


@pytest.mark.parametrize(
    ("mode", "in_percent", "out_percent", "battery_w"),
    [
        pytest.param(DISCHARGE, 100, -50, 2_000, id="a negative discharge rate charges"),
        pytest.param(CHARGE, -25, 100, -1_000, id="a negative charge rate discharges"),
        pytest.param(CHARGE | DISCHARGE, -25, 25, -1_000, id="both bounds pin a discharge"),
        pytest.param(CHARGE | DISCHARGE, 50, -50, 2_000, id="both bounds pin a charge"),
        pytest.param(CHARGE | DISCHARGE, 0, 0, 0, id="zero limits hold"),
        pytest.param(0, -25, -50, 0, id="rates without their bits do nothing"),
    ],
)
def test_storage_orders_move_the_battery(mode: int, in_percent: float, out_percent: float, battery_w: float) -> None:
    """The recipe that public drivers use on hybrids, at the plant and not only in the register."""
    one = hybrid()
    storage(one, mode=mode, in_percent=in_percent, out_percent=out_percent)
    one.clock.move(1)
    assert one.site_w[2] == pytest.approx(battery_w)


def test_a_discharge_limit_bounds_self_consumption() -> None:
    """A limit is no setpoint: the inverter still follows the home inside it."""
    one = hybrid(uncommanded="self_consumption")
    one.clock.move(1)
    assert one.site_w[2] == pytest.approx(-1_000)
    storage(one, mode=DISCHARGE, out_percent=10)
    one.clock.move(1)
    assert one.site_w[2] == pytest.approx(-400)


def test_the_revert_timer_gives_the_battery_back_at_its_instant() -> None:
    """Safety never depends on anyone being alive: ninety seconds after the last write the device is on its own."""
    one = hybrid()
    storage(one, mode=DISCHARGE, out_percent=-100, revert_s=90)
    one.clock.move(89.5)
    assert one.site_w[2] == pytest.approx(4_000)
    one.clock.move(1)
    assert one.site_w[2] == 0.0
    assert (one.read(124, "StorCtl_Mod"), one.read(124, "OutWRte")) == (0, 10_000)
    assert one.read(124, "InOutWRte_RvrtTms") == 90
    # Charged for exactly 90 s although nobody looked at that instant.
    battery = one.plant.sites["home"].battery
    assert battery is not None
    assert battery.energy_in_wh - 100_000 == pytest.approx(4_000 * 90 / 3_600)


@pytest.mark.parametrize("point", ["StorCtl_Mod", "OutWRte", "InOutWRte_RvrtTms"])
def test_any_write_to_the_group_arms_the_timer_anew(point: str) -> None:
    """A gateway refreshes with whatever it writes."""
    one = hybrid()
    storage(one, mode=DISCHARGE, out_percent=-100, revert_s=60)
    one.clock.move(59)
    one.write(124, point, one.read(124, point))
    one.clock.move(59)
    assert one.site_w[2] == pytest.approx(4_000)
    one.clock.move(2)
    assert one.site_w[2] == 0.0


def test_a_period_of_zero_never_reverts() -> None:
    """The trap that real devices set: a controller that dies leaves its last order behind."""
    one = hybrid()
    storage(one, mode=DISCHARGE, out_percent=-10)
    one.clock.move(86_400 / 2)
    assert one.site_w[2] == pytest.approx(400)


def limit(one: Bench, *, percent: float, enabled: int = 1, revert_s: int = 0) -> None:
    """Write an output limit as one block, value to enable."""
    scale = 10 ** -one.read(123, "WMaxLimPct_SF")
    one.write(123, "WMaxLimPct", percent * scale, 0, revert_s, 0, enabled)


def test_a_limit_curtails_pv_and_is_undone_by_its_timer() -> None:
    """Curtailment at the plant, in percent of WMax, and its end without us."""
    one = bench(home(battery=None, pv_peak_w=5_000))
    free_w = one.site_w[1]
    assert free_w < -3_000
    limit(one, percent=20, revert_s=90)
    assert one.site_w[1] == pytest.approx(-1_000)
    assert one.read(103, "St") == 5
    one.clock.move(91)
    assert one.site_w[1] == pytest.approx(free_w, rel=0.02)
    assert one.read(123, "WMaxLim_Ena") == 0


def test_a_latched_limit_is_taken_only_when_enable_rises() -> None:
    """Fronius: a new value is ignored, though echoed, while the limit is on."""
    one = bench(home(load_w=0, battery=home().sites[0].battery))
    storage(one, mode=CHARGE, in_percent=0)
    limit(one, percent=40)
    assert one.site_w[1] == pytest.approx(-2_000)
    limit(one, percent=20)
    assert one.read(123, "WMaxLimPct") == 2_000
    assert one.site_w[1] == pytest.approx(-2_000)
    limit(one, percent=20, enabled=0)
    limit(one, percent=20)
    assert one.site_w[1] == pytest.approx(-1_000)


def test_disconnected_the_inverter_does_nothing() -> None:
    """Conn = 0 is the strongest order that model 123 has."""
    one = bench(home(load_w=0))
    one.write(123, "Conn_WinTms", 0, 60, 0)
    one.clock.move(1)
    assert max(map(abs, one.site_w)) == 0
    one.clock.move(60)
    assert one.site_w[1] < 0


@pytest.mark.parametrize(
    ("model", "point", "value", "code"),
    [
        pytest.param(124, "StorCtl_Mod", 4, ExceptionCode.ILLEGAL_DATA_VALUE, id="unknown mode bit"),
        pytest.param(124, "OutWRte", 10_001, ExceptionCode.ILLEGAL_DATA_VALUE, id="above 100 %"),
        pytest.param(124, "OutWRte", -10_001, ExceptionCode.ILLEGAL_DATA_VALUE, id="below -100 %"),
        pytest.param(123, "WMaxLimPct", -1, ExceptionCode.ILLEGAL_DATA_VALUE, id="a negative that wraps"),
        pytest.param(123, "WMaxLimPct_RmpTms", 5, ExceptionCode.ILLEGAL_DATA_VALUE, id="a ramp that is not there"),
        pytest.param(124, "ChaState", 1, ExceptionCode.ILLEGAL_DATA_ADDRESS, id="a measurement"),
        pytest.param(103, "W", 1, ExceptionCode.ILLEGAL_DATA_ADDRESS, id="another measurement"),
        pytest.param(123, "OutPFSet", 1, ExceptionCode.ILLEGAL_DATA_ADDRESS, id="a point that it does not implement"),
    ],
)
def test_what_cannot_be_written_is_refused(model: int, point: str, value: int, code: ExceptionCode) -> None:
    """A device that takes anything hides a gateway's mistakes."""
    one = hybrid()
    with pytest.raises(ModbusRefused) as refusal:
        one.write(model, point, value)
    assert refusal.value.code is code


def test_a_block_is_taken_whole_or_not_at_all() -> None:
    """Half a mode is a mode that nobody asked for."""
    one = hybrid()
    with pytest.raises(ModbusRefused):
        one.write(124, "OutWRte", -5_000, 20_000)
    assert one.read(124, "OutWRte") == 10_000


def test_a_device_whose_owner_forbids_control_refuses_every_write() -> None:
    """As a Fronius does until its page says otherwise."""
    one = hybrid(control_allowed=False)
    with pytest.raises(ModbusRefused):
        one.write(124, "StorCtl_Mod", 1)


def test_a_device_may_echo_an_order_and_ignore_it() -> None:
    """Why a command counts as effective only when the meter has moved."""
    one = hybrid(orders_ignored=True)
    storage(one, mode=DISCHARGE, out_percent=-100)
    one.clock.move(10)
    assert one.read(124, "OutWRte") == -10_000
    assert one.site_w[2] == 0.0


def test_a_device_may_ignore_its_own_timer() -> None:
    """Why a revert timer is trusted only where it has been seen to work."""
    one = hybrid(revert_ignored=True)
    storage(one, mode=DISCHARGE, out_percent=-10, revert_s=60)
    one.clock.move(3_600)
    assert one.site_w[2] == pytest.approx(400)


def test_a_restart_forgets_orders_and_timers_but_not_energy() -> None:
    """After a reboot a gateway must find its order gone and write it anew."""
    one = hybrid()
    storage(one, mode=DISCHARGE, out_percent=-100, revert_s=90)
    one.clock.move(10)
    one.driver.now_s()
    counted = one.plant.sites["home"].meter.import_wh
    one.device.bank.reset()
    one.clock.move(1)
    assert one.site_w[2] == 0.0
    assert one.read(124, "InOutWRte_RvrtTms") == 0
    assert one.plant.sites["home"].meter.import_wh >= counted


@settings(max_examples=30)
@given(orders=st.lists(st.tuples(st.integers(0, 3), st.integers(-100, 100), st.integers(-100, 100)), max_size=8))
def test_no_order_takes_the_battery_beyond_its_power(orders: list[tuple[int, int, int]]) -> None:
    """Whatever is written, physics stays in charge."""
    one = hybrid()
    for mode, in_percent, out_percent in orders:
        storage(one, mode=mode, in_percent=in_percent, out_percent=out_percent)
        one.clock.move(600)
        assert abs(one.site_w[2]) <= 4_000
        battery = one.plant.sites["home"].battery
        assert battery is not None
        assert 5 - 1e-6 <= battery.soc_percent <= 100 + 1e-6


def test_a_hybrid_stands_where_public_code_for_the_gen24_looks() -> None:
    """Addresses that drivers in the field hard-code: 160 with four modules before 124."""
    one = hybrid()
    assert one.address(103, "W") == 40083
    assert one.address(160, "N") == 40261
    assert one.address(124, "StorCtl_Mod") == 40348
    assert one.address(124, "ChaGriSet") == 40360


def test_a_plain_hybrid_stands_in_the_order_of_its_models_and_takes_limits_at_once() -> None:
    """The other habit in the field; a profile must not mistake one for the other."""
    one = bench(home(load_w=0, device=DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID, shape=Shape.PLAIN)))
    assert list(one.device.bank.addresses) == [1, 103, 120, 121, 122, 123, 124, 160]
    assert one.address(124, "StorCtl_Mod") == 40_259
    storage(one, mode=CHARGE, in_percent=0)
    for percent in (40, 20):
        limit(one, percent=percent)
        assert one.site_w[1] == pytest.approx(-50 * percent)


def test_a_pv_inverter_has_no_storage() -> None:
    """A gateway tells the two apart by the chain."""
    one = bench(home(battery=None, device=DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_PV)))
    assert 124 not in one.device.bank.addresses
    assert one.device.bank.read_registers(Table.HOLDING, one.address(160, "N"), 1) == b"\x00\x02"
