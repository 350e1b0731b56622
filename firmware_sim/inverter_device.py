"""The SunSpec inverter: a PV inverter, or a hybrid shaped like a Fronius GEN24, over one inverter of the plant.

The AC power of model 103 is positive when power is fed out. A hybrid names its PV strings as modules 1 and 2 of model
160, charging as module 3 and discharging as module 4, all positive. Model 802, where asked
for, counts charging positive.

Source: SunSpec models; the chain of the hybrid (common model of 65 registers, 160 before 124, four modules) as public
code for the Fronius GEN24 in integer mode reads it.
"""

import math

from firmware_sim.battery import Battery
from firmware_sim.controls import Controls
from firmware_sim.driver import Driver
from firmware_sim.inverter_models import (
    BATTERY_V,
    OPERATING,
    ac_model,
    battery_model,
    controls_model,
    maker_model,
    modules_model,
    nameplate_model,
    settings_model,
    status_model,
    storage_model,
)
from firmware_sim.plant import Plant
from firmware_sim.plant_config import Shape
from firmware_sim.plant_parts import Inverter, Site
from firmware_sim.sunspec import Part, SunSpecBank, Value

_OFF, _SLEEPING, _MPPT, _THROTTLED = 1, 2, 4, 5
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
_CONNECTED_AVAILABLE = 3
_DC_V = 600.0
# Below this an inverter counts as idle and a battery as holding.
_IDLE_W = 5.0


class InverterDevice:
    """The registers of one inverter, kept in step with the plant."""

    def __init__(self, *, plant: Plant, driver: Driver, site: Site, inverter: Inverter) -> None:
        """Build the chain of models; ``bank`` answers from then on."""
        self._plant, self._site, self._inverter = plant, site, inverter
        self._battery = site.battery if inverter.serves_battery else None
        self._strings = 2
        config = inverter.config
        self._ac = ac_model(inverter, self._battery)
        self._status = status_model(inverter, hybrid=self._battery is not None)
        self._modules = modules_model(inverter, self._battery)
        controls = controls_model(limit_scale=-2 if self._battery else -1)
        self._storage = storage_model(self._battery, grid_charge=config.grid_charge) if self._battery else None
        self._battery_model = battery_model(self._battery) if self._battery and config.model_802 else None
        self.controls = Controls(
            inverter=inverter,
            driver=driver,
            controls=controls,
            storage=self._storage,
            charge_w_max=self._battery.charge_w_max if self._battery else 0.0,
        )
        behind: list[Part] = [(self._modules, self._refresh_modules)]
        if self._storage is not None:
            behind.insert(1 if config.shape is Shape.GEN24 else 0, (self._storage, self._refresh_storage))
        if self._battery_model is not None:
            behind.append((self._battery_model, self._refresh_battery))
        self.bank = SunSpecBank(
            base=config.base,
            parts=[
                (maker_model(inverter, site=site.config.id), None),
                (self._ac, self._refresh_ac),
                (nameplate_model(inverter, self._battery), None),
                (settings_model(inverter, plant.feeder.config.voltage_v), None),
                (self._status, self._refresh_status),
                (controls, None),
                *behind,
            ],
            freshen=driver.freshen,
            write=self.controls.write,
            writable=self.controls.writable,
            reset=self.controls.reset,
        )

    def _refresh_ac(self) -> None:
        feeder, inverter = self._plant.feeder, self._inverter
        output_w, voltage_v = inverter.output_w, feeder.voltage_v
        phases = self._site.config.phases
        current_a = abs(output_w) / voltage_v
        line_v = voltage_v * math.sqrt(3)
        dc_w = output_w
        self._ac.put(
            {
                "A": current_a,
                "AphA": current_a / phases,
                "AphB": current_a / phases if phases > 1 else 0.0,
                "AphC": current_a / phases if phases > 2 else 0.0,
                "PPVphAB": line_v,
                "PPVphBC": line_v,
                "PPVphCA": line_v,
                "PhVphA": voltage_v,
                "PhVphB": voltage_v,
                "PhVphC": voltage_v,
                "W": output_w,
                "Hz": feeder.frequency_hz,
                "VA": abs(output_w),
                "VAr": 0.0,
                "PF": 100.0,
                "WH": inverter.energy_out_wh,
                "DCW": dc_w,
                "St": self._state(),
            }
        )

    def _refresh_status(self) -> None:
        self._status.put(
            {
                "ActWh": self._inverter.energy_out_wh,
                "WAval": self._inverter.available_w,
                "ECPConn": 1 if self._inverter.orders.connected else 0,
                "PVConn": (OPERATING if self._inverter.pv_w < 0 else _CONNECTED_AVAILABLE)
                if self._inverter.serves_pv
                else 0,
            }
        )

    def _refresh_modules(self) -> None:
        inverter = self._inverter
        string_w = -inverter.pv_w / self._strings
        string_wh = inverter.pv_energy_wh / self._strings
        values: dict[str, Value] = {}
        for module in range(1, self._strings + 1):
            values |= _module(module, power_w=string_w, energy_wh=string_wh, voltage_v=_DC_V, state=self._pv_state())
        if self._battery is not None:
            power_w = self._battery.power_w
            charging = _MPPT if power_w > _IDLE_W else _OFF
            discharging = _MPPT if power_w < -_IDLE_W else _OFF
            values |= _module(
                3,
                power_w=max(0.0, power_w),
                energy_wh=self._battery.energy_in_wh,
                voltage_v=BATTERY_V,
                state=charging,
            )
            values |= _module(
                4,
                power_w=max(0.0, -power_w),
                energy_wh=self._battery.energy_out_wh,
                voltage_v=BATTERY_V,
                state=discharging,
            )
        self._modules.put(values)

    def _refresh_storage(self) -> None:
        assert self._storage is not None and self._battery is not None
        self._storage.put({"ChaState": self._battery.soc_percent, "ChaSt": _charge_state(self._battery)})

    def _refresh_battery(self) -> None:
        assert self._battery_model is not None and self._battery is not None
        power_w = self._battery.power_w
        self._battery_model.put(
            {
                "SoC": self._battery.soc_percent,
                "ChaSt": _charge_state(self._battery),
                "V": BATTERY_V,
                "A": power_w / BATTERY_V,
                "W": power_w,
            }
        )

    def _state(self) -> int:
        """Return the operating state of model 103."""
        if not self._inverter.orders.connected:
            return _OFF
        if self._battery is None:
            return self._pv_state()
        return _THROTTLED if self._pv_state() == _THROTTLED else _MPPT

    def _pv_state(self) -> int:
        inverter = self._inverter
        if inverter.available_w < _IDLE_W:
            return _SLEEPING
        return _THROTTLED if -inverter.pv_w < inverter.available_w - _IDLE_W else _MPPT


def _charge_state(battery: Battery) -> int:
    if battery.power_w > _IDLE_W:
        return _CHARGING
    if battery.power_w < -_IDLE_W:
        return _DISCHARGING
    if battery.stored_wh >= battery.stored_wh_max:
        return _FULL
    return _EMPTY if battery.stored_wh <= battery.stored_wh_min else _HOLDING


def _module(number: int, *, power_w: float, energy_wh: float, voltage_v: float, state: int) -> dict[str, Value]:
    return {
        f"{number}.DCA": power_w / voltage_v,
        f"{number}.DCV": voltage_v,
        f"{number}.DCW": power_w,
        f"{number}.DCWH": energy_wh,
        f"{number}.DCSt": state,
    }
