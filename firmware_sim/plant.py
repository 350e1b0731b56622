"""The plant: one feeder, its sites, and what physics makes of load, sun, batteries and orders.

Power is positive into the asset: the connection point is the sum of load, PV (negative) and battery, and the feeder the
sum of its connection points and losses. Time comes from the caller as seconds that only rise; energy is integrated over
exactly the time that passed. Nothing here knows of registers or sockets.
"""

from datetime import UTC, datetime, timedelta

from firmware_sim.inverter import battery_setpoint_w, pv_generation_w
from firmware_sim.plant_config import LoadStep, PlantConfig
from firmware_sim.plant_parts import Feeder, Site, build_counters, build_site
from firmware_sim.series import week_seconds
from firmware_sim.variation import variation

# Longer spans are cut, so that a battery never runs past its bounds and a mean stays close to a line.
STEP_S_MAX = 5.0
_WS_PER_WH = 3600.0


class Plant:
    """A neighbourhood that moves on when it is told the time."""

    def __init__(self, config: PlantConfig, *, started_at: datetime, now_s: float) -> None:
        """Build the plant.

        Args:
            config: What stands where.
            started_at: The aware instant at which ``now_s`` is read, or the file's own.
            now_s: The present reading of a clock that only rises.
        """
        self.config = config
        self.version = 0
        origin_at = config.started_at or started_at
        self._origin_at = origin_at.astimezone(UTC)
        self._started_s = now_s - (started_at - origin_at).total_seconds()
        self._week_s = week_seconds(_local(origin_at, config.utc_offset_h))
        self._now_s = now_s
        self.sites = {
            site.id: build_site(site, week=config.week, seed=config.seed, now_s=now_s) for site in config.sites
        }
        self.feeder = Feeder(config=config.feeder, meter=build_counters(config.feeder))
        self.settle()

    @property
    def now_s(self) -> float:
        """Return the instant up to which the plant has been moved."""
        return self._now_s

    @property
    def now_at(self) -> datetime:
        """Return that instant as the plant's calendar has it, aware UTC."""
        return self._origin_at + timedelta(seconds=self._now_s - self._started_s)

    def advance(self, now_s: float) -> None:
        """Move the plant up to an instant; an instant that has passed changes nothing."""
        while self._now_s < now_s:
            self._step(min(STEP_S_MAX, now_s - self._now_s))

    def settle(self) -> None:
        """Take the powers of this instant anew, after orders changed and before any more time passes."""
        elapsed_s = self._now_s - self._started_s
        for site in self.sites.values():
            site.load_w = self._load_w(site, elapsed_s)
            site.available_w = self._available_w(site, elapsed_s)
            _share_pv(site)
            site.connection_w = site.load_w + site.pv_w + site.battery_w
        self._feed()
        self.version += 1

    def _step(self, duration_s: float) -> None:
        self._now_s += duration_s
        elapsed_s = self._now_s - self._started_s
        total_mean_w = 0.0
        for site in self.sites.values():
            total_mean_w += self._step_site(site, elapsed_s, duration_s)
        self._feed()
        self.feeder.meter.add(total_mean_w + self._loss_w(total_mean_w), duration_s)
        self.version += 1

    def _step_site(self, site: Site, elapsed_s: float, duration_s: float) -> float:
        """Move one site on and return its mean power at the connection point."""
        load_w, pv_w = self._load_w(site, elapsed_s), site.pv_w
        load_mean_w = (site.load_w + load_w) / 2
        site.load_w, site.available_w = load_w, self._available_w(site, elapsed_s)
        outputs_w = [inverter.output_w for inverter in site.inverters]
        battery_before_w = site.battery_w
        for consumer in site.consumers.values():
            consumer.count(consumer.power_w(self._now_s), duration_s)
        battery_mean_w = self._step_battery(site, duration_s)
        _share_pv(site)
        mean_w = load_mean_w + (pv_w + site.pv_w) / 2 + battery_mean_w
        site.connection_w = site.load_w + site.pv_w + site.battery_w
        site.meter.add(mean_w, duration_s)
        for inverter, before_w in zip(site.inverters, outputs_w, strict=True):
            # The battery's mean is exact and not the middle of its ends; the output takes over the difference.
            bent_w = battery_mean_w - (battery_before_w + site.battery_w) / 2 if inverter.serves_battery else 0.0
            output_mean_w = (before_w + inverter.output_w) / 2 - bent_w
            inverter.energy_out_wh += max(0.0, output_mean_w) * duration_s / _WS_PER_WH
            inverter.pv_energy_wh -= inverter.pv_w * duration_s / _WS_PER_WH
        return mean_w

    def _step_battery(self, site: Site, duration_s: float) -> float:
        if site.battery is None:
            return 0.0
        inverter = next((one for one in site.inverters if one.serves_battery), None)
        if inverter is None:
            return site.battery.step(setpoint_w=0.0, duration_s=duration_s)
        behind_w = site.available_w if inverter.serves_pv else 0.0
        elsewhere_w = sum(
            min(site.available_w, one.output_w_max) for one in site.inverters if one.serves_pv and one is not inverter
        )
        setpoint_w = battery_setpoint_w(
            inverter.orders,
            uncommanded=inverter.uncommanded,
            residual_w=site.load_w - elsewhere_w - behind_w,
            available_pv_w=behind_w,
            rated_w=inverter.rated_w,
            charge_w_max=site.battery.charge_w_max,
            discharge_w_max=site.battery.discharge_w_max,
        )
        reserve_wh = inverter.orders.reserve_percent / 100 * site.battery.capacity_wh
        return site.battery.step(setpoint_w=setpoint_w, duration_s=duration_s, reserve_wh=reserve_wh)

    def _load_w(self, site: Site, elapsed_s: float) -> float:
        power_w = site.load.at(week_s=self._week_s + elapsed_s, elapsed_s=elapsed_s) if site.load else 0.0
        switched_w = sum(one.power_w for one in site.config.switched if site.coils[one.coil])
        own_w = sum(one.power_w(self._now_s) for one in site.consumers.values())
        return power_w + switched_w + own_w + sum(step_w(step, elapsed_s) for step in site.config.steps)

    def _available_w(self, site: Site, elapsed_s: float) -> float:
        return site.pv.at(week_s=self._week_s + elapsed_s, elapsed_s=elapsed_s) if site.pv else 0.0

    def _feed(self) -> None:
        """Take the feeder's power, voltage and frequency from its sites."""
        feeder, config = self.feeder, self.feeder.config
        total_w = sum(site.connection_w for site in self.sites.values())
        feeder.power_w = total_w + self._loss_w(total_w)
        if config.limit_w:
            # The drop along the line is as large as named when the feeder carries its limit.
            drop = config.voltage_drop_percent / 100 * feeder.power_w / config.limit_w
            feeder.voltage_v = config.voltage_v * min(1.2, max(0.8, 1.0 - drop))
        else:
            feeder.voltage_v = config.voltage_v
        elapsed_s = self._now_s - self._started_s
        changes_hz = (
            step.change_hz for step in config.frequency_steps if step.at_s <= elapsed_s < step.at_s + step.for_s
        )
        wander_hz = 0.02 * variation(seed=self.config.seed, name="frequency", at_s=elapsed_s)
        feeder.frequency_hz = config.frequency_hz + wander_hz + sum(changes_hz)

    def _loss_w(self, power_w: float) -> float:
        return abs(power_w) * self.feeder.config.loss_percent / 100


def step_w(step: LoadStep, elapsed_s: float) -> float:
    """Return the extra load of a step so long after the plant's start."""
    since_s = elapsed_s - step.at_s
    until_s = step.for_s - since_s
    if since_s < 0 or until_s <= 0:
        return 0.0
    if step.ramp_s == 0:
        return step.extra_load_w
    return step.extra_load_w * min(1.0, since_s / step.ramp_s, until_s / step.ramp_s)


def _share_pv(site: Site) -> None:
    """Let every inverter generate what it may, and the site's PV be their sum; PV without an inverter runs free."""
    if site.pv is None:
        site.pv_w = 0.0
    served = False
    for inverter in site.inverters:
        battery_w = site.battery_w if inverter.serves_battery else 0.0
        if inverter.serves_pv:
            served = True
            inverter.available_w = site.available_w
            connected_w = site.available_w if inverter.orders.connected else 0.0
            inverter.pv_w = -pv_generation_w(
                available_w=connected_w, output_w_max=inverter.output_w_max, battery_w=battery_w
            )
            site.pv_w = inverter.pv_w
        inverter.output_w = -(inverter.pv_w + battery_w)
    if site.pv is not None and not served:
        site.pv_w = -site.available_w


def _local(instant: datetime, utc_offset_h: float) -> datetime:
    offset = instant.utcoffset()
    assert offset is not None, "the plant starts at an aware instant"
    return instant.replace(tzinfo=None) - offset + timedelta(hours=utc_offset_h)
