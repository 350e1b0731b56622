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
from firmware_sim.plant import Inverter, Plant, Site
from firmware_sim.sunspec import Model, SunSpecBank, Value, common_model, scale_for

_PV_TYPE = 4
_PV_STORAGE_TYPE = 82
_OFF, _SLEEPING, _MPPT, _THROTTLED = 1, 2, 4, 5
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6
_CONNECTED_AVAILABLE = 3
_OPERATING = 7
_DC_V = 600.0
_BATTERY_V = 400.0
# Below this an inverter counts as idle and a battery as holding.
_IDLE_W = 5.0
_CELSIUS = 35.0


class InverterDevice:
    """The registers of one inverter, kept in step with the plant."""

    def __init__(self, *, plant: Plant, driver: Driver, site: Site, inverter: Inverter) -> None:
        """Build the chain of models; ``bank`` answers from then on."""
        self._plant, self._site, self._inverter = plant, site, inverter
        self._battery = site.battery if inverter.serves_battery else None
        self._strings = 2
        config = inverter.config
        hybrid = self._battery is not None
        self._ac = _ac_model(inverter, self._battery)
        self._status = _status_model(inverter, hybrid=hybrid)
        self._modules = _modules_model(inverter, self._battery)
        controls = _controls_model(limit_scale=-2 if hybrid else -1)
        self._storage = _storage_model(self._battery, grid_charge=config.grid_charge) if self._battery else None
        self._battery_model = _battery_model(self._battery) if self._battery and config.model_802 else None
        maker, name, length = ("Fronius", "Symo GEN24", 65) if hybrid else ("Sunhouse", "PV inverter", 66)
        chain = [
            common_model(
                maker=maker, model=name, serial=f"{site.config.id}/{config.id}", unit=config.unit, length=length
            ),
            self._ac,
            _nameplate_model(inverter, self._battery),
            _settings_model(inverter, self._plant.feeder.config.voltage_v),
            self._status,
            controls,
            self._modules,
        ]
        refresh = {1: self._refresh_ac, 4: self._refresh_status, 6: self._refresh_modules}
        if self._storage is not None:
            refresh[len(chain)] = self._refresh_storage
            chain.append(self._storage)
        if self._battery_model is not None:
            refresh[len(chain)] = self._refresh_battery
            chain.append(self._battery_model)
        self.controls = Controls(
            inverter=inverter,
            driver=driver,
            controls=controls,
            storage=self._storage,
            charge_w_max=self._battery.charge_w_max if self._battery else 0.0,
        )
        self.bank = SunSpecBank(
            base=config.base,
            models=chain,
            freshen=driver.freshen,
            refresh=refresh,
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
                "PVConn": (_OPERATING if self._inverter.pv_w < 0 else _CONNECTED_AVAILABLE)
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
                voltage_v=_BATTERY_V,
                state=charging,
            )
            values |= _module(
                4,
                power_w=max(0.0, -power_w),
                energy_wh=self._battery.energy_out_wh,
                voltage_v=_BATTERY_V,
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
                "V": _BATTERY_V,
                "A": power_w / _BATTERY_V,
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


def _power_max_w(inverter: Inverter, battery: Battery | None) -> float:
    """Return the largest power that any register of the device must hold."""
    battery_w = max(battery.charge_w_max, battery.discharge_w_max) if battery else 0.0
    return max(inverter.rated_w, battery_w) * 1.3


def _ac_model(inverter: Inverter, battery: Battery | None) -> Model:
    fixed: dict[str, Value] = {"TmpCab": _CELSIUS, "Evt1": 0, "Evt2": 0}
    if inverter.config.float_model:
        return Model(113, values=fixed)
    watts = scale_for(_power_max_w(inverter, battery))
    amps = scale_for(_power_max_w(inverter, battery) / 150, bound=650) - 2
    scales: dict[str, Value] = {
        "A_SF": amps,
        "V_SF": -1,
        "W_SF": watts,
        "Hz_SF": -2,
        "VA_SF": watts,
        "VAr_SF": watts,
        "PF_SF": -1,
        "WH_SF": 0,
        "DCW_SF": watts,
        "Tmp_SF": 0,
    }
    return Model(103, values=scales | fixed)


def _nameplate_model(inverter: Inverter, battery: Battery | None) -> Model:
    watts = scale_for(_power_max_w(inverter, battery))
    values: dict[str, Value] = {
        "DERTyp": _PV_STORAGE_TYPE if battery else _PV_TYPE,
        "WRtg_SF": watts,
        "WRtg": inverter.rated_w,
        "VARtg_SF": watts,
        "VARtg": inverter.rated_w,
        "VArRtg_SF": watts,
        "VArRtgQ1": 0,
        "VArRtgQ2": 0,
        "VArRtgQ3": 0,
        "VArRtgQ4": 0,
        "ARtg_SF": -1,
        "ARtg": inverter.rated_w / 690,
        "PFRtg_SF": -2,
        "PFRtgQ1": 1,
        "PFRtgQ2": 1,
        "PFRtgQ3": 1,
        "PFRtgQ4": 1,
    }
    if battery is not None:
        values |= {
            "WHRtg_SF": scale_for(battery.capacity_wh),
            "WHRtg": battery.capacity_wh,
            "MaxChaRte_SF": watts,
            "MaxChaRte": battery.charge_w_max,
            "MaxDisChaRte_SF": watts,
            "MaxDisChaRte": battery.discharge_w_max,
        }
    return Model(120, values=values)


def _settings_model(inverter: Inverter, voltage_v: float) -> Model:
    watts = scale_for(inverter.rated_w * 1.3)
    return Model(
        121,
        values={
            "WMax_SF": watts,
            "WMax": inverter.rated_w,
            "VRef_SF": -1,
            "VRef": voltage_v,
            "VRefOfs_SF": 0,
            "VRefOfs": 0,
            "VAMax_SF": watts,
            "VAMax": inverter.rated_w,
            "ECPNomHz_SF": -2,
            "ECPNomHz": 50,
        },
    )


def _status_model(inverter: Inverter, *, hybrid: bool) -> Model:
    return Model(
        122,
        values={
            "StorConn": _OPERATING if hybrid else 0,
            "WAval_SF": scale_for(inverter.rated_w * 1.5),
            "StActCtl": 0,
            "RtSt": 0,
        },
    )


def _controls_model(*, limit_scale: int) -> Model:
    return Model(
        123,
        values={
            "Conn_WinTms": 0,
            "Conn_RvrtTms": 0,
            "Conn": 1,
            "WMaxLimPct_SF": limit_scale,
            "WMaxLimPct": 100,
            "WMaxLimPct_WinTms": 0,
            "WMaxLimPct_RvrtTms": 0,
            "WMaxLimPct_RmpTms": 0,
            "WMaxLim_Ena": 0,
            "OutPFSet_SF": -2,
            "OutPFSet": 1,
            "OutPFSet_Ena": 0,
            "VArPct_SF": 0,
            "VArWMaxPct": 0,
            "VArPct_Ena": 0,
        },
    )


def _storage_model(battery: Battery, *, grid_charge: bool) -> Model:
    return Model(
        124,
        values={
            "WChaMax_SF": scale_for(battery.charge_w_max),
            "WChaMax": battery.charge_w_max,
            "WChaDisChaGra_SF": 0,
            "WChaGra": 100,
            "WDisChaGra": 100,
            "StorCtl_Mod": 0,
            "MinRsvPct_SF": -2,
            "MinRsvPct": 100 * battery.stored_wh_min / battery.capacity_wh,
            "ChaState_SF": -2,
            "InBatV_SF": -1,
            "InBatV": _BATTERY_V,
            "InOutWRte_SF": -2,
            "OutWRte": 100,
            "InWRte": 100,
            "InOutWRte_WinTms": 0,
            "InOutWRte_RvrtTms": 0,
            "InOutWRte_RmpTms": 0,
            "ChaGriSet": 1 if grid_charge else 0,
        },
    )


def _modules_model(inverter: Inverter, battery: Battery | None) -> Model:
    modules = 4 if battery else 2
    names = ("String 1", "String 2", "StCha 3", "StDisCha 4")
    values: dict[str, Value] = {
        "DCA_SF": scale_for(_power_max_w(inverter, battery) / _BATTERY_V, bound=650) - 2,
        "DCV_SF": -1,
        "DCW_SF": scale_for(_power_max_w(inverter, battery)),
        "DCWH_SF": 0,
        "Evt": 0,
        "N": modules,
    }
    for module in range(1, modules + 1):
        values |= {f"{module}.ID": module, f"{module}.IDStr": names[module - 1], f"{module}.DCEvt": 0}
    return Model(160, values=values, modules=modules)


def _battery_model(battery: Battery) -> Model:
    watts = scale_for(max(battery.charge_w_max, battery.discharge_w_max) * 1.3)
    return Model(
        802,
        values={
            "AHRtg_SF": scale_for(battery.capacity_wh / _BATTERY_V),
            "AHRtg": battery.capacity_wh / _BATTERY_V,
            "WHRtg_SF": scale_for(battery.capacity_wh),
            "WHRtg": battery.capacity_wh,
            "WChaDisChaMax_SF": watts,
            "WChaRteMax": battery.charge_w_max,
            "WDisChaRteMax": battery.discharge_w_max,
            "SoC_SF": -2,
            "SoCMax": 100 * battery.stored_wh_max / battery.capacity_wh,
            "SoCMin": 100 * battery.stored_wh_min / battery.capacity_wh,
            "LocRemCtl": 0,
            "Typ": 4,
            "State": 3,
            "Evt1": 0,
            "Evt2": 0,
            "EvtVnd1": 0,
            "EvtVnd2": 0,
            "V_SF": -1,
            "CellV_SF": -2,
            "A_SF": -1,
            "W_SF": watts,
            "AlmRst": 0,
            "SetOp": 1,
            "SetInvState": 3,
        },
    )
