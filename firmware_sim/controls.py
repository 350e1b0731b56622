"""What a client may order of a SunSpec inverter: limits, storage control and the timers that undo them.

The registers are the state. A write goes through the value checks, moves the plant up to its instant, re-arms the
timer of its group and becomes new ``Orders``; a timer that runs out puts the group back to where nobody commands.

Source: SunSpec models 123 and 124; for the charge and discharge signs of model 124 the practice of hybrid inverters:
StorCtl_Mod bit 0 lets InWRte bound charging, bit 1 lets OutWRte bound discharging, and a negative rate forces the
opposite direction at that rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from firmware_sim.driver import Driver
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.inverter import Orders
from firmware_sim.plant_config import Shape
from firmware_sim.plant_parts import Inverter
from firmware_sim.sunspec import Model

_CHARGE_LIMIT = 1
_DISCHARGE_LIMIT = 2
# Longest time that an unsigned register can hold without being its own sentinel.
_SECONDS_MAX = 65534.0

# What each writable point takes, lowest and highest. Windows and ramps are not implemented and stay zero.
_CONNECT: dict[str, tuple[float, float]] = {
    "Conn": (0, 1),
    "Conn_WinTms": (0, 0),
    "Conn_RvrtTms": (0, _SECONDS_MAX),
}
_LIMIT: dict[str, tuple[float, float]] = {
    "WMaxLimPct": (0, 100),
    "WMaxLimPct_WinTms": (0, 0),
    "WMaxLimPct_RvrtTms": (0, _SECONDS_MAX),
    "WMaxLimPct_RmpTms": (0, 0),
    "WMaxLim_Ena": (0, 1),
}
_STORAGE: dict[str, tuple[float, float]] = {
    "StorCtl_Mod": (0, 3),
    "MinRsvPct": (0, 100),
    "OutWRte": (-100, 100),
    "InWRte": (-100, 100),
    "InOutWRte_WinTms": (0, 0),
    "InOutWRte_RvrtTms": (0, _SECONDS_MAX),
    "InOutWRte_RmpTms": (0, 0),
    "ChaGriSet": (0, 1),
}


@dataclass(kw_only=True)
class Group:
    """Points that one timer undoes."""

    model: Model
    points: Mapping[str, tuple[float, float]]
    period_point: str
    reverted: Mapping[str, float]
    active_point: str
    inactive: float
    deadline_s: float | None = None

    def arm(self, now_s: float) -> None:
        """Start the timer anew; it does not run without a period or while nothing is commanded."""
        period_s = self.model.get(self.period_point)
        active = self.model.get(self.active_point) != self.inactive
        self.deadline_s = now_s + period_s if active and period_s > 0 else None


class Controls:
    """The orders that one inverter holds in its registers."""

    def __init__(
        self, *, inverter: Inverter, driver: Driver, controls: Model, storage: Model | None, charge_w_max: float
    ) -> None:
        """Take the models 123 and 124 (``None`` without a battery) as they were built, nothing commanded."""
        self._inverter = inverter
        self._driver = driver
        self._controls = controls
        self._storage = storage
        self._charge_w_max = charge_w_max
        self._latched_percent: float | None = None
        latches = inverter.config.limit_latched
        self.latches = storage is not None and inverter.config.shape is Shape.GEN24 if latches is None else latches
        self._groups = _groups(controls, storage)
        if not inverter.config.revert_ignored:
            for group in self._groups:
                driver.add_timer(GroupTimer(self, group))
        self._initial = {
            group.model.model: {
                point: group.model.get(point)
                for one in self._groups
                for point in one.points
                if one.model is group.model
            }
            for group in self._groups
        }

    @property
    def writable(self) -> frozenset[tuple[int, str]]:
        """Return the points that clients may write, by model."""
        return frozenset((group.model.model, point) for group in self._groups for point in group.points)

    def write(self, values: Mapping[tuple[int, str], float]) -> None:
        """Take points that were written in one request.

        Raises:
            ModbusRefused: Control is not allowed on this device, or a value is outside its range; nothing is taken.
        """
        if not self._inverter.config.control_allowed:
            raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)
        touched = []
        for group in self._groups:
            mine = {point: value for (model, point), value in values.items() if model == group.model.model}
            mine = {point: value for point, value in mine.items() if point in group.points}
            for point, value in mine.items():
                low, high = group.points[point]
                if not low <= value <= high:
                    raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
            if mine:
                touched.append((group, mine))
        now_s = self._driver.now_s()
        was_enabled = self._controls.get("WMaxLim_Ena") == 1
        for group, mine in touched:
            group.model.put(mine)
            group.arm(now_s)
        enabled = self._controls.get("WMaxLim_Ena") == 1
        if enabled and (not self.latches or not was_enabled):
            self._latched_percent = self._controls.get("WMaxLimPct")
        self._apply()

    def revert(self, group: Group) -> None:
        """Put a group back, as its timer ran out."""
        group.deadline_s = None
        group.model.put(group.reverted)
        self._apply()

    def reset(self) -> None:
        """Forget every order, as after a loss of supply."""
        for group in self._groups:
            group.deadline_s = None
            group.model.put(self._initial[group.model.model])
        self._driver.now_s()
        self._apply()

    def _apply(self) -> None:
        if self._inverter.config.orders_ignored:
            return
        if self._controls.get("WMaxLim_Ena") != 1:
            self._latched_percent = None
        self._inverter.orders = self._storage_orders(
            Orders(
                connected=self._controls.get("Conn") == 1,
                output_w_max=None
                if self._latched_percent is None
                else self._latched_percent / 100 * self._inverter.rated_w,
                grid_charge=self._inverter.config.grid_charge,
            )
        )
        self._driver.plant.settle()

    def _storage_orders(self, orders: Orders) -> Orders:
        if self._storage is None:
            return orders
        mode = int(self._storage.get("StorCtl_Mod"))
        in_w = self._storage.get("InWRte") / 100 * self._charge_w_max
        out_w = self._storage.get("OutWRte") / 100 * self._charge_w_max
        return replace(
            orders,
            battery_w_max=in_w if mode & _CHARGE_LIMIT else None,
            battery_w_min=-out_w if mode & _DISCHARGE_LIMIT else None,
            grid_charge=self._storage.get("ChaGriSet") == 1,
            reserve_percent=self._storage.get("MinRsvPct"),
        )


@dataclass(frozen=True)
class GroupTimer:
    """The timer of one group, as the driver sees it."""

    controls: Controls
    group: Group

    @property
    def deadline_s(self) -> float | None:
        """Return when it runs out."""
        return self.group.deadline_s

    def expire(self) -> None:
        """Put the group back."""
        self.controls.revert(self.group)


def _groups(controls: Model, storage: Model | None) -> tuple[Group, ...]:
    groups = [
        Group(
            model=controls,
            points=_CONNECT,
            period_point="Conn_RvrtTms",
            reverted={"Conn": 1},
            active_point="Conn",
            inactive=1,
        ),
        Group(
            model=controls,
            points=_LIMIT,
            period_point="WMaxLimPct_RvrtTms",
            reverted={"WMaxLim_Ena": 0},
            active_point="WMaxLim_Ena",
            inactive=0,
        ),
    ]
    if storage is not None:
        groups.append(
            Group(
                model=storage,
                points=_STORAGE,
                period_point="InOutWRte_RvrtTms",
                reverted={"StorCtl_Mod": 0, "OutWRte": 100, "InWRte": 100},
                active_point="StorCtl_Mod",
                inactive=0,
            )
        )
    return tuple(groups)
