"""A feeder with sites that obey, refuse, or keep silent, stepped by hand: what the grid agent is tried against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cloud.grid.actions import GridAction, ReleaseCommand, SendCommand
from cloud.grid.event import Observation, advance
from cloud.grid.model import FlexibleSite, GridSettings, PowerSample, SiteObservation
from cloud.grid.network import Network
from cloud.grid.state import EventState, dump_state, load_state
from contracts.control import AckStage, BatteryPower, CommandAck, LimitExport, LimitImport, Refusal
from contracts.grid import FeederState

START = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


@dataclass
class SimSite:
    """A site with a load, a sun and a battery; power positive into each."""

    flexible: FlexibleSite
    load_w: Callable[[float], float]
    pv_w: Callable[[float], float] = lambda _: 0.0
    soc_percent: float = 80.0
    obeys: bool = True
    refuses: Refusal | None = None
    feasible: BatteryPower | LimitImport | LimitExport | None = None
    silent: bool = False
    orders: dict[str, SendCommand] = field(default_factory=dict)
    battery_w: float = 0.0
    connection_w: float = 0.0
    shown_pv_w: float = 0.0
    seq: int = 0

    def step(self, t_s: float, now: datetime, dt_s: float) -> None:
        """Move on by one step, holding the orders that have not expired."""
        self.orders = {key: sent for key, sent in self.orders.items() if sent.expires_at > now}
        pv_w, load_w, battery_w = self.pv_w(t_s), self.load_w(t_s), 0.0
        if self.obeys:
            for sent in self.orders.values():
                if isinstance(sent.action, BatteryPower):
                    battery_w = self._possible(sent.action.power_w)
            for sent in self.orders.values():
                net_w = load_w + pv_w
                if isinstance(sent.action, LimitImport):
                    battery_w = self._possible(min(battery_w, sent.action.max_w - net_w))
                elif isinstance(sent.action, LimitExport):
                    battery_w = self._possible(max(battery_w, -sent.action.max_w - net_w))
                    pv_w = min(0.0, max(pv_w, -sent.action.max_w - load_w - battery_w))
        capacity_wh = max(1, self.flexible.battery_capacity_wh)
        self.soc_percent += battery_w * dt_s / 3600 / capacity_wh * 100
        self.battery_w, self.shown_pv_w, self.connection_w = battery_w, pv_w, load_w + pv_w + battery_w

    def _possible(self, power_w: float) -> float:
        low = -self.flexible.battery_discharge_w_max if self.soc_percent > 1 else 0
        high = self.flexible.battery_charge_w_max if self.soc_percent < 99 else 0
        return min(max(power_w, low), high)

    def take(self, action: GridAction, now: datetime) -> list[CommandAck]:
        """Take a command and answer it."""
        if self.silent:
            return []
        if isinstance(action, ReleaseCommand):
            self.orders.pop(action.releases, None)
            return [self._ack(action.releases, action.event_id, AckStage.RELEASED, now)]
        assert isinstance(action, SendCommand)
        if self.refuses is not None:
            ack = self._ack(action.command_id, action.event_id, AckStage.REJECTED, now)
            return [ack.model_copy(update={"reason": self.refuses, "feasible": self.feasible})]
        self.orders = {key: sent for key, sent in self.orders.items() if sent.action.kind != action.action.kind}
        self.orders[action.command_id] = action
        stages = [AckStage.ACCEPTED, AckStage.APPLIED, AckStage.EFFECTIVE if self.obeys else AckStage.INEFFECTIVE]
        # The meter shows the effect a moment after the order was taken.
        return [
            self._ack(action.command_id, action.event_id, stage, now + timedelta(seconds=delay_s))
            for stage, delay_s in zip(stages, (0, 1, 2), strict=True)
        ]

    def _ack(self, command_id: str, event_id: str, stage: AckStage, now: datetime) -> CommandAck:
        self.seq += 1
        return CommandAck(
            site=self.flexible.site,
            epoch=1,
            seq=self.seq,
            sent_at=now,
            command_id=command_id,
            event_id=event_id,
            stage=stage,
            at=now,
            measured_w=self.connection_w,
        )

    def seen(self, now: datetime) -> SiteObservation:
        """Return what its telemetry says now."""
        return SiteObservation(
            site=self.flexible.site,
            at=now,
            connection_power_w=self.connection_w,
            battery_power_w=self.battery_w if self.flexible.battery_capacity_wh else None,
            pv_power_w=self.shown_pv_w,
            soc_percent=self.soc_percent if self.flexible.battery_capacity_wh else None,
        )


@dataclass
class SimFeeder:
    """The sites on their feeder, with the grid agent looking every ``tick_s`` seconds."""

    sites: Sequence[SimSite]
    settings: GridSettings
    tick_s: int = 5
    telemetry_s: int = 10
    state: EventState = field(default_factory=EventState)
    now: datetime = START
    log: list[tuple[datetime, GridAction]] = field(default_factory=list)
    powers_w: list[float] = field(default_factory=list)
    states: list[FeederState] = field(default_factory=list)
    meter_works: bool = True
    feeder_lag_s: int = 0
    ack_lag_s: int = 0
    waiting: list[PowerSample] = field(default_factory=list)
    shown: list[PowerSample] = field(default_factory=list)
    acks: list[CommandAck] = field(default_factory=list)
    seen: dict[str, SiteObservation] = field(default_factory=dict)
    network: Network | None = None

    def run(self, seconds: int) -> None:
        """Run on second by second; acknowledgements arrive with the next look."""
        by_site = {sim.flexible.site: sim for sim in self.sites}
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            t_s = (self.now - START).total_seconds()
            for sim in self.sites:
                sim.step(t_s, self.now, 1.0)
                if t_s % self.telemetry_s == 0 and not sim.silent:
                    self.seen[sim.flexible.site] = sim.seen(self.now)
            power_w = sum(sim.connection_w for sim in self.sites)
            self.powers_w.append(power_w)
            if self.meter_works:
                self.waiting.append(PowerSample(at=self.now, power_w=power_w))
            shown_until = self.now - timedelta(seconds=self.feeder_lag_s)
            self.shown += [sample for sample in self.waiting if sample.at <= shown_until]
            self.waiting = [sample for sample in self.waiting if sample.at > shown_until]
            if t_s % self.tick_s:
                continue
            arrived_at = self.now - timedelta(seconds=self.ack_lag_s)
            acks = tuple(ack for ack in self.acks if ack.sent_at <= arrived_at)
            look = Observation(feeder=tuple(self.shown), sites=tuple(self.seen.values()), acks=acks)
            stored = load_state(dump_state(self.state))
            assert stored == self.state
            flexible = [sim.flexible for sim in self.sites]
            self.state, actions = advance(stored, look, flexible, self.settings, self.now, network=self.network)
            self.shown, self.acks = [], [ack for ack in self.acks if ack.sent_at > arrived_at]
            for action in actions:
                self.log.append((self.now, action))
                if isinstance(action, SendCommand | ReleaseCommand):
                    self.acks += by_site[action.site].take(action, self.now)
            if not self.states or self.states[-1] is not self.state.state:
                self.states.append(self.state.state)

    def sent(self, site: str) -> list[SendCommand]:
        """Return the orders to a site, in order."""
        return [action for _, action in self.log if isinstance(action, SendCommand) and action.site == site]


def settings(**changes: object) -> GridSettings:
    """Return settings of a 100 kW feeder, with changes."""
    base = GridSettings(
        feeder="feeder-1",
        zone="zone-1",
        import_limit_w=100_000,
        export_limit_w=80_000,
        margin_w=2_000,
        hysteresis_w=5_000,
    )
    return replace(base, **changes)  # type: ignore[arg-type]
