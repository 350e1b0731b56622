"""What a plant is made of: sources, counters, inverters, sites and the feeder, and how the file becomes them."""

from dataclasses import dataclass

from firmware_sim.battery import Battery
from firmware_sim.consumers import Consumer, build_consumer
from firmware_sim.inverter import Orders
from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    FeederConfig,
    LoadConfig,
    PlantSite,
    PvConfig,
    Serves,
    Uncommanded,
    serves_of,
)
from firmware_sim.series import Series, Week, peak_over_weeks_w, series
from firmware_sim.variation import variation

_WS_PER_WH = 3600.0
# Contacts of a relay, switched loads or not.
COILS = 8
# Devices are not new: a SunSpec accumulator of zero would read as one that does not count.
_LIFETIME_WH = 100_000.0
# A car on three phases, and a heat pump, whose file names no rating.
_CONSUMER_RATED_W = {False: 11_000.0, True: 3_000.0}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A power that follows a series: zero or greater, in W."""

    name: str
    series: Series | None
    factor: float
    base_w: float
    variation_share: float
    seed: int

    def at(self, *, week_s: float, elapsed_s: float) -> float:
        """Return the power at a place in the week."""
        power_w = self.base_w + (self.series.at(week_s) * self.factor if self.series else 0.0)
        if self.variation_share:
            power_w *= 1.0 + self.variation_share * variation(seed=self.seed, name=self.name, at_s=elapsed_s)
        return max(0.0, power_w)


@dataclass(kw_only=True)
class Counters:
    """Two rising counters of energy in Wh."""

    import_wh: float
    export_wh: float

    def add(self, mean_w: float, duration_s: float) -> None:
        """Count the energy of a mean power over a while."""
        if mean_w > 0:
            self.import_wh += mean_w * duration_s / _WS_PER_WH
        else:
            self.export_wh -= mean_w * duration_s / _WS_PER_WH


@dataclass(kw_only=True)
class Inverter:
    """One inverter of a site: what stands behind it, what it has been told, and what it does now.

    ``pv_w`` is zero or negative; ``output_w`` is the power fed out at its AC terminals, negative while charging from
    the grid, and ``energy_out_wh`` counts only what is fed out.
    """

    config: DeviceConfig
    serves_pv: bool
    serves_battery: bool
    rated_w: float
    uncommanded: Uncommanded
    orders: Orders
    available_w: float = 0.0
    pv_w: float = 0.0
    output_w: float = 0.0
    pv_energy_wh: float = _LIFETIME_WH
    energy_out_wh: float = _LIFETIME_WH

    @property
    def output_w_max(self) -> float:
        """Return the power that it may feed out now."""
        if not self.orders.connected:
            return 0.0
        limit_w = self.orders.output_w_max
        return self.rated_w if limit_w is None else min(self.rated_w, limit_w)


@dataclass(kw_only=True)
class Site:
    """One site's state at the plant's present instant."""

    config: PlantSite
    load: Source | None
    pv: Source | None
    battery: Battery | None
    inverters: tuple[Inverter, ...]
    meter: Counters
    coils: dict[int, bool]
    consumers: dict[str, Consumer]
    load_w: float = 0.0
    pv_w: float = 0.0
    connection_w: float = 0.0
    available_w: float = 0.0

    @property
    def battery_w(self) -> float:
        """Return the battery's power, positive charging; zero where there is none."""
        return self.battery.power_w if self.battery else 0.0


@dataclass(kw_only=True)
class Feeder:
    """The feeder's state at the plant's present instant."""

    config: FeederConfig
    meter: Counters
    power_w: float = 0.0
    voltage_v: float = 230.0
    frequency_hz: float = 50.0


def build_site(config: PlantSite, *, week: Week, seed: int, now_s: float) -> Site:
    """Return a site at its start, no time having passed."""
    return Site(
        config=config,
        load=_load(config.id, config.load, week, seed),
        pv=_pv(config.id, config.pv, week, seed),
        battery=_battery(config.battery),
        inverters=tuple(
            _inverter(device, config)
            for device in config.devices
            if serves_of(device, config) not in (Serves.METER, Serves.SWITCH, Serves.ITSELF)
        ),
        meter=build_counters(config),
        consumers={
            device.id: build_consumer(
                device.kind,
                rated_w=device.rated_w or _CONSUMER_RATED_W[device.kind is DeviceKind.STIEBEL_ISG],
                safe_a=device.safe_a,
                is_plugged=device.is_plugged,
                now_s=now_s,
            )
            for device in config.devices
            if serves_of(device, config) is Serves.ITSELF
        },
        coils=dict.fromkeys(range(COILS), False) | {one.coil: one.on for one in config.switched},
    )


def _load(site: str, config: LoadConfig | None, week: Week, seed: int) -> Source | None:
    if config is None:
        return None
    return Source(
        name=f"{site}/load",
        series=series(config.series, week) if config.series else None,
        factor=config.scale,
        base_w=config.base_w,
        variation_share=config.variation_percent / 100,
        seed=seed,
    )


def _pv(site: str, config: PvConfig | None, week: Week, seed: int) -> Source | None:
    if config is None:
        return None
    stretch = config.peak_w / peak_over_weeks_w(config.series) if config.peak_w else 1.0
    return Source(
        name=f"{site}/pv",
        series=series(config.series, week),
        factor=config.scale * stretch,
        base_w=0.0,
        variation_share=config.variation_percent / 100,
        seed=seed,
    )


def _battery(config: BatteryConfig | None) -> Battery | None:
    if config is None:
        return None
    return Battery(
        capacity_wh=config.capacity_wh,
        charge_w_max=config.charge_w_max,
        discharge_w_max=config.discharge_w_max,
        stored_wh=config.capacity_wh * config.soc_percent / 100,
        stored_wh_min=config.capacity_wh * config.soc_percent_min / 100,
        stored_wh_max=config.capacity_wh * config.soc_percent_max / 100,
        one_way_efficiency=config.one_way_efficiency,
        response_s=config.response_s,
        energy_in_wh=_LIFETIME_WH,
        energy_out_wh=_LIFETIME_WH,
    )


def _inverter(device: DeviceConfig, site: PlantSite) -> Inverter:
    serves = serves_of(device, site)
    serves_pv = serves in (Serves.PV, Serves.HYBRID) and site.pv is not None
    serves_battery = serves in (Serves.BATTERY, Serves.HYBRID)
    return Inverter(
        config=device,
        serves_pv=serves_pv,
        serves_battery=serves_battery,
        rated_w=device.rated_w or _rating_w(site, serves_pv=serves_pv, serves_battery=serves_battery),
        uncommanded=device.uncommanded or (Uncommanded.SELF_CONSUMPTION if serves_pv else Uncommanded.HOLD),
        orders=Orders(grid_charge=device.grid_charge),
    )


def _rating_w(site: PlantSite, *, serves_pv: bool, serves_battery: bool) -> float:
    """Return the rating of an inverter whose file names none: the larger of what stands behind it."""
    pv_w = battery_w = 0.0
    if serves_pv and site.pv is not None:
        pv_w = (site.pv.peak_w or peak_over_weeks_w(site.pv.series)) * site.pv.scale
    if serves_battery and site.battery is not None:
        battery_w = max(site.battery.charge_w_max, site.battery.discharge_w_max)
    return max(pv_w, battery_w, 1.0)


def build_counters(config: PlantSite | FeederConfig) -> Counters:
    """Return a meter's counters as they stand when the plant starts."""
    return Counters(import_wh=config.energy_import_wh, export_wh=config.energy_export_wh)
