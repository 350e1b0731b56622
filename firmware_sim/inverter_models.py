"""The models of a SunSpec inverter as they leave the factory: ratings, scale factors, and nothing commanded.

Scale factors follow from what the device is rated for, so that every power fits its register.
"""

from firmware_sim.battery import Battery
from firmware_sim.plant_config import Shape
from firmware_sim.plant_parts import Inverter
from firmware_sim.sunspec import Model, Value, common_model, scale_for

BATTERY_V = 400.0
OPERATING = 7
_PV_TYPE = 4
_PV_STORAGE_TYPE = 82
_CELSIUS = 35.0
_LITHIUM_ION = 4
_CONNECTED = 3
_STARTED = 3


def maker_model(inverter: Inverter, *, site: str) -> Model:
    """Return model 1. A GEN24 leaves its pad out."""
    config = inverter.config
    if not inverter.serves_battery:
        maker, name, length = "Sunhouse", "PV inverter", 66
    elif config.shape is Shape.GEN24:
        maker, name, length = "Fronius", "Symo GEN24", 65
    else:
        maker, name, length = "Sunhouse", "Hybrid inverter", 66
    return common_model(maker=maker, model=name, serial=f"{site}/{config.id}", unit=config.unit, length=length)


def power_max_w(inverter: Inverter, battery: Battery | None) -> float:
    """Return the largest power that any register of the device must hold."""
    battery_w = max(battery.charge_w_max, battery.discharge_w_max) if battery else 0.0
    return max(inverter.rated_w, battery_w) * 1.3


def ac_model(inverter: Inverter, battery: Battery | None) -> Model:
    """Return model 103 or 113: what the AC side measures."""
    fixed: dict[str, Value] = {"TmpCab": _CELSIUS, "Evt1": 0, "Evt2": 0}
    if inverter.config.float_model:
        return Model(113, values=fixed)
    watts = scale_for(power_max_w(inverter, battery))
    amps = scale_for(power_max_w(inverter, battery) / 150, bound=650) - 2
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


def nameplate_model(inverter: Inverter, battery: Battery | None) -> Model:
    """Return model 120: what stands on the plate."""
    watts = scale_for(power_max_w(inverter, battery))
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


def settings_model(inverter: Inverter, voltage_v: float) -> Model:
    """Return model 121: WMax is the rating, and nothing of it can be changed."""
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


def status_model(inverter: Inverter, *, hybrid: bool) -> Model:
    """Return model 122: what is connected, and the lifetime yield."""
    return Model(
        122,
        values={
            "StorConn": OPERATING if hybrid else 0,
            "WAval_SF": scale_for(inverter.rated_w * 1.5),
            "StActCtl": 0,
            "RtSt": 0,
        },
    )


def controls_model(*, limit_scale: int) -> Model:
    """Return model 123 with nothing commanded."""
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


def storage_model(battery: Battery, *, grid_charge: bool) -> Model:
    """Return model 124 with nothing commanded."""
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
            "InBatV": BATTERY_V,
            "InOutWRte_SF": -2,
            "OutWRte": 100,
            "InWRte": 100,
            "InOutWRte_WinTms": 0,
            "InOutWRte_RvrtTms": 0,
            "InOutWRte_RmpTms": 0,
            "ChaGriSet": 1 if grid_charge else 0,
        },
    )


def modules_model(inverter: Inverter, battery: Battery | None) -> Model:
    """Return model 160: two PV strings, and on a hybrid charging and discharging."""
    modules = 4 if battery else 2
    names = ("String 1", "String 2", "StCha 3", "StDisCha 4")
    values: dict[str, Value] = {
        "DCA_SF": scale_for(power_max_w(inverter, battery) / BATTERY_V, bound=650) - 2,
        "DCV_SF": -1,
        "DCW_SF": scale_for(power_max_w(inverter, battery)),
        "DCWH_SF": 0,
        "Evt": 0,
        "N": modules,
    }
    for module in range(1, modules + 1):
        values |= {f"{module}.ID": module, f"{module}.IDStr": names[module - 1], f"{module}.DCEvt": 0}
    return Model(160, values=values, modules=modules)


def battery_model(battery: Battery) -> Model:
    """Return model 802: the battery as its own controller reports it."""
    watts = scale_for(max(battery.charge_w_max, battery.discharge_w_max) * 1.3)
    return Model(
        802,
        values={
            "AHRtg_SF": scale_for(battery.capacity_wh / BATTERY_V),
            "AHRtg": battery.capacity_wh / BATTERY_V,
            "WHRtg_SF": scale_for(battery.capacity_wh),
            "WHRtg": battery.capacity_wh,
            "WChaDisChaMax_SF": watts,
            "WChaRteMax": battery.charge_w_max,
            "WDisChaRteMax": battery.discharge_w_max,
            "SoC_SF": -2,
            "SoCMax": 100 * battery.stored_wh_max / battery.capacity_wh,
            "SoCMin": 100 * battery.stored_wh_min / battery.capacity_wh,
            "LocRemCtl": 0,
            "Typ": _LITHIUM_ION,
            "State": _CONNECTED,
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
            "SetInvState": _STARTED,
        },
    )
