"""One device on its own, for a bench: which kind stands in for which device in the field, and what is behind it."""

from firmware_sim.errors import PlantError
from firmware_sim.fault_rules import FaultRule
from firmware_sim.plant_config import (
    CONSUMERS,
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    Shape,
    SwitchedLoad,
    Uncommanded,
)
from firmware_sim.series import Week

SITE = "bench"
DEVICE = "device"

# Names under which a bench device can be asked for; names of profiles among them, as names only.
LIKE: dict[str, DeviceKind] = {
    "sunspec": DeviceKind.SUNSPEC_HYBRID,
    "sunspec_generic_int": DeviceKind.SUNSPEC_HYBRID,
    "sunspec_hybrid": DeviceKind.SUNSPEC_HYBRID,
    "fronius_gen24_int": DeviceKind.SUNSPEC_HYBRID,
    "sunspec_pv": DeviceKind.SUNSPEC_PV,
    "sunspec_meter": DeviceKind.SUNSPEC_METER,
    "sdm630": DeviceKind.SDM630,
    "eastron_sdm630": DeviceKind.SDM630,
    "relay": DeviceKind.RELAY,
    "kmtronic_relay": DeviceKind.RELAY,
    **{kind.value: kind for kind in CONSUMERS},
}


def single_device(
    like: str,
    *,
    port: int = 0,
    unit: int = 1,
    host: str = "127.0.0.1",
    faults: tuple[FaultRule, ...] = (),
    seed: int = 0,
    week: Week = Week.SUNNY,
) -> PlantConfig:
    """Return a home with PV, a battery and one device that answers for it, or for its meter.

    ``sunspec`` is a plain hybrid with model 802, ``sunspec_hybrid`` one shaped like a Fronius GEN24, without.

    Raises:
        PlantError: Nothing here is like that.
    """
    kind = LIKE.get(like)
    if kind is None:
        raise PlantError(f"no simulated device is like {like!r}; there are {', '.join(sorted(LIKE))}")
    generic = like in ("sunspec", "sunspec_generic_int")
    hybrid = kind is DeviceKind.SUNSPEC_HYBRID
    device = DeviceConfig(
        id=DEVICE,
        kind=kind,
        port=port,
        unit=unit,
        model_802=generic,
        shape=Shape.PLAIN if generic else Shape.GEN24,
        uncommanded=Uncommanded.SELF_CONSUMPTION if hybrid else None,
        faults=faults,
    )
    site = PlantSite(
        id=SITE,
        load=LoadConfig(series="home01", base_w=100, variation_percent=3),
        pv=PvConfig(series="pv_golden", peak_w=8_000),
        battery=BatteryConfig(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000) if hybrid else None,
        switched=(SwitchedLoad(coil=0, power_w=2_000),) if kind is DeviceKind.RELAY else (),
        devices=(device,),
    )
    return PlantConfig(week=week, seed=seed, host=host, sites=(site,))
