"""What a run proved, from what it left behind: the gateways' outboxes and the cloud's tables.

Nothing here comes from the processes' memory: the count of what was handed over is the gateways', the count of what was
stored is the cloud's, and the two are compared.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table as Grid
from rich.text import Text

from cloud.errors import CloudError
from cloud.local.report import evidence, opened, read_report, seen_by_epoch
from cloud.market.baseline import TEN_OF_TEN
from cloud.market.flags import Flag
from cloud.shell.aggregates import point_in
from cloud.stores import keys
from cloud.stores.registry import load_registry
from cloud.stores.sequence import Seen
from cloud.stores.tables import Table, Tables
from contracts.topics import Up
from contracts.units import DELIVERY_INTERVAL_S, UCT_PER_CENT, Quality, epoch_ms
from edge.outbox.records import Caps
from edge.outbox.store import Store
from sitewatt.demo import files
from sitewatt.demo.backlog import waiting_messages
from sitewatt.demo.earnings import by_agent, earnings
from sitewatt.demo.goals import goals_met, told
from sitewatt.demo.neighbourhood import ZONE, Neighbourhood
from sitewatt.demo.view import money
from sitewatt.demo.watch import Latency, NeighbourhoodView, SiteView

NUMBERED = tuple(channel for channel in Up if channel is not Up.STATUS)
BALANCE_SHARE_MAX = 0.01  # Of the feeder's peak.
_ALL = 1 << 62
_CAP_PERCENT = TEN_OF_TEN.cap_permille // 10


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """What one gateway's outbox says of one channel: numbered so far, and of those not yet acknowledged."""

    epoch: int
    numbered: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one run, in the shape that ``--report`` writes."""

    sites: list[dict[str, Any]]
    intervals: list[dict[str, Any]]
    ledger: dict[str, int]
    energy: dict[str, float]
    telemetry: dict[str, int]
    channels: dict[str, dict[str, int]]
    orders: dict[str, int]
    dr_events: list[dict[str, Any]]
    dr_claims: list[dict[str, Any]]
    latency_ms: dict[str, float | None]
    processes: dict[str, dict[str, float]]
    earnings: list[dict[str, Any]]
    goals: list[dict[str, Any]]

    @property
    def checks(self) -> dict[str, bool]:
        """Return what must hold, by name."""
        return {
            "an interval settled": any(interval["settled"] for interval in self.intervals),
            "the ledger sums to zero": self.ledger["sum"] == 0 and self.ledger["energy_sum"] == 0,
            "nothing was lost": self.lost == 0,
            "the event became effective": any(event["effective"] for event in self.dr_events),
        }

    @property
    def lost(self) -> int:
        """Return how many messages of all channels are nowhere."""
        return sum(counts["lost"] for counts in self.channels.values())

    @property
    def waiting(self) -> dict[str, int]:
        """Return the messages that were neither stored nor lost when the run ended, by channel."""
        return {name: counts["waiting"] for name, counts in self.channels.items() if counts["waiting"]}

    @property
    def kept_up(self) -> bool:
        """Return whether the machine had stored everything when the run ended."""
        return not self.waiting

    @property
    def passed(self) -> bool:
        """Return whether everything that must hold held."""
        return all(self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **vars(self),
            "by_agent": by_agent(self.earnings),
            "goals": [{**row, "told": told(row)} for row in self.goals],
            "checks": self.checks,
            "passed": self.passed,
            "kept_up": self.kept_up,
        }


def collect(
    place: Neighbourhood,
    folder: Path,
    *,
    sites: list[dict[str, Any]],
    latency: Latency,
    usage: dict[str, dict[str, float]],
) -> Report:
    """Return the report of a run whose processes have ended."""
    cloud = read_report(files.tables(folder))
    counts = channels(folder, place)
    return Report(
        sites=sites,
        intervals=cloud.intervals,
        ledger=cloud.ledger,
        energy=_energy(folder, place),
        telemetry=counts[Up.TELEMETRY.value],
        channels=counts,
        orders=cloud.orders,
        dr_events=_with_evidence(folder, cloud.dr_events),
        dr_claims=cloud.dr_claims,
        latency_ms={
            "order_to_trade_p50": _quantile(latency.order_to_trade_ms, 0.5),
            "order_to_trade_p99": _quantile(latency.order_to_trade_ms, 0.99),
            "command_to_effect_p50": _quantile(latency.command_to_effect_ms, 0.5),
            "command_to_effect_p99": _quantile(latency.command_to_effect_ms, 0.99),
        },
        processes=usage,
        earnings=_earnings(folder, place),
        goals=_goals(folder, place),
    )


def _goals(folder: Path, place: Neighbourhood) -> list[dict[str, Any]]:
    with files.truth(folder).open(encoding="utf-8") as truth:
        return goals_met(place, truth)


def _earnings(folder: Path, place: Neighbourhood) -> list[dict[str, Any]]:
    soc_percent = {site.id: site.battery.soc_percent for site in place.sites if site.battery}
    with opened(files.tables(folder)) as tables:
        records = [record for site in place.sites if (record := load_registry(tables).site(site.id)) is not None]
        return earnings(tables, ZONE, records, soc_percent=soc_percent)


def sites(place: Neighbourhood, view: NeighbourhoodView) -> list[dict[str, Any]]:
    """Return what was last heard of each site; to be asked while they run."""
    return [_site(site.id, site.agent.value, view.sites.get(site.id, SiteView())) for site in place.sites]


def all_stored(folder: Path, place: Neighbourhood) -> bool:
    """Return whether the cloud has everything that the gateways' outboxes have handed over."""
    return left_to_store(folder, place) == 0


def left_to_store(folder: Path, place: Neighbourhood) -> int | None:
    """Return how many messages that the gateways handed over the cloud has not stored; ``None`` where nobody can tell.

    A number that falls from look to look says that the cloud still works on them.
    """
    try:
        counts = channels(folder, place).values()
    except CloudError:
        return None
    return sum(one["published"] - one["stored"] for one in counts)


def progress(view: NeighbourhoodView, *, now: datetime, left_s: float) -> str:
    """Return one line about a run that goes on."""
    online = sum(site.online for site in view.sites.values())
    settled = sum(interval.state in {"settled", "corrected"} for interval in view.intervals.values())
    orders = sum(site.orders for site in view.sites.values())
    state = view.grid.state if view.grid else "not yet heard"
    return (
        f"{now:%H:%M:%S} UTC  {online} gateways online, {orders} orders, {settled} intervals settled, "
        f"feeder {state}; {left_s:.0f} s left"
    )


def render_partial(place: Neighbourhood, view: NeighbourhoodView, *, now: datetime) -> Group:
    """Return what was seen of a run that was ended early: told as it was, not judged."""
    table = Grid(title="sites, when the run was ended", title_justify="left")
    for heading in ("site", "link", "orders", "traded kWh", "settled so far"):
        table.add_column(heading)
    for site in place.sites:
        seen = view.sites.get(site.id, SiteView())
        settled = money(-sum(seen.settled_uct.values())) if seen.settled_uct else ""
        link = "online" if seen.online else "offline"
        table.add_row(site.id, link, str(seen.orders), f"{seen.traded_wh / 1000:.1f}", settled)
    settled_intervals = sum(interval.state in {"settled", "corrected"} for interval in view.intervals.values())
    local = now.astimezone(place.timezone)
    return Group(
        table,
        Text(f"ended early at {local:%H:%M:%S} local time, {settled_intervals} intervals settled; nothing is judged"),
    )


def render_start(*, ready: Sequence[str], starting: Sequence[str]) -> Text:
    """Return how far a run had come that was ended while it started: nobody has traded yet."""
    came = [f"{word} {', '.join(names)}" for word, names in (("ready:", ready), ("still starting:", starting)) if names]
    return Text(f"ended while it started ({'; '.join(came) or 'no part ran yet'}); nothing was traded or judged")


def render(report: Report) -> Group:
    """Return the report for people."""
    intervals = Grid(title="delivery intervals", title_justify="left")
    for heading in ("start (UTC)", "state", "price ct/kWh", "volume kWh", "trades"):
        intervals.add_column(heading)
    for one in report.intervals:
        price = "" if one["price"] is None else f"{one['price'] / 1000:.3f}"
        row = (one["start"][11:16], one["state"], price, f"{one['volume_wh'] / 1000:.2f}", str(one["trades"]))
        intervals.add_row(*row)
    lines = [line for event in report.dr_events for line in _event_lines(event, report.dr_claims)] or [
        "no demand-response event"
    ]
    telemetry, orders = report.telemetry, report.orders
    lines.append(f"ledger: {report.ledger['lines']} lines, sum {money(report.ledger['sum'])}")
    lines.append(
        f"telemetry: {telemetry['published']} published, {telemetry['stored']} stored, {telemetry['waiting']} waiting, "
        f"{telemetry['lost']} lost, {telemetry['duplicated']} came twice"
    )
    lines += [
        f"{name}: {counts['lost']} of {counts['published']} messages are nowhere"
        for name, counts in report.channels.items()
        if counts["lost"]
    ]
    lines.append(
        f"orders: {orders['accepted']} taken, {orders['traded']} of them traded; "
        f"{orders['sent']} messages, with changes and withdrawals"
    )
    lines.append(
        f"energy: feeder and sites differ by {report.energy['max_balance_error_w']:.0f} W at most of "
        f"{report.energy['feeder_peak_w'] / 1000:.0f} kW"
    )
    lines += [told(row) for row in report.goals]
    verdict = [
        Text(f"{'passed' if held else 'FAILED'}  {name}", style="green" if held else "red")
        for name, held in report.checks.items()
    ]
    if not report.kept_up:
        waiting = ", ".join(f"{count} {name}" for name, count in report.waiting.items())
        verdict.append(
            Text(
                f"slow    this machine did not keep up: {waiting} still waited, none lost by that; try a lower --speed"
            )
        )
    return Group(intervals, _earned(report.earnings), *(Text(line) for line in lines), *verdict)


def _earned(rows: Sequence[dict[str, Any]]) -> Grid:
    """Return what each site got, beside what it would have at the utility's tariffs alone and with perfect foresight.

    Alone with its meter as it was, with its battery run by self-consumption, and without its battery; then each kind
    of agent. What an event paid or took is beside the rest.
    """
    table = Grid(
        title="what each site got, ct (below zero it paid)", title_justify="left",
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for heading in ("site", "agent"):
        table.add_column(heading)
    for heading in ("energy", "event", "no\nmarket", "nor a\nplan", "nor a\nbattery", "perfect\nforesight"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row["site"], row["agent"], *_sums(row), end_section=row is rows[-1])
    for total in by_agent(rows):
        table.add_row(f"all {total['sites']}", total["agent"], *_sums(total))
    return table


def _sums(row: dict[str, Any]) -> list[str]:
    energy_uct = row["paid_uct"] - row["event_uct"]
    others = ("event_uct", "without_market_uct", "without_plan_uct", "without_battery_uct", "perfect_uct")
    return [_cents(owed_uct) for owed_uct in (energy_uct, *(row[name] for name in others))]


def _cents(owed_uct: int | None) -> str:
    return "not known" if owed_uct is None else f"{-owed_uct / UCT_PER_CENT:z.2f}"


def handed_over(folder: Path, name: str) -> dict[Up, HandedOver]:
    """Return what a gateway's outbox says of each channel; the gateway must have ended.

    Raises:
        OutboxError: The outbox cannot be read, or its gateway still runs.
    """
    store = Store.open(files.state(folder, name) / "journal.db", bytes_max=Caps().bytes_max)
    try:
        epoch = store.epoch() or 0
        counters = store.counters()
        return {
            channel: HandedOver(
                epoch=epoch,
                numbered=counters.get(channel, 0),
                waiting=len(store.read(channel, after_id=0, upto_id=_ALL, limit=1_000_000)),
            )
            for channel in NUMBERED
        }
    finally:
        store.close()


def channels(folder: Path, place: Neighbourhood) -> dict[str, dict[str, int]]:
    """Return published, stored, waiting, lost and duplicated by channel, over all gateways.

    What waits is in the cloud's streams, stored with the next run of the cloud; only what is nowhere is lost.
    """
    names = [site.id for site in place.sites] + [place.feeder.id]
    outboxes = {name: handed_over(folder, name) for name in names}
    found = {
        channel.value: {"published": 0, "stored": 0, "waiting": 0, "lost": 0, "duplicated": 0} for channel in NUMBERED
    }
    backlog = waiting_messages(files.tables(folder))
    with opened(files.tables(folder)) as tables:
        for name in names:
            for channel in NUMBERED:
                outbox = outboxes[name][channel]
                counts = found[channel.value]
                published = outbox.numbered - outbox.waiting
                seen = seen_by_epoch(tables, name, channel)
                arrived = seen.get(outbox.epoch, Seen())
                stored = arrived.stored
                waiting = sum(
                    site == name and epoch == outbox.epoch and seq not in arrived
                    for site, epoch, seq in backlog[channel]
                )
                counts["published"] += published
                counts["stored"] += stored
                counts["waiting"] += waiting
                counts["lost"] += max(0, published - stored - waiting)
                counts["duplicated"] += sum(one.duplicated for one in seen.values())
    return found


def _energy(folder: Path, place: Neighbourhood) -> dict[str, float]:
    """Compare the feeder's meter with the sum of the sites' meters, interval by interval, as mean power."""
    days = [place.started_at, place.started_at + timedelta(days=1)]
    with opened(files.tables(folder)) as tables:
        feeder = _net_wh(tables, place.feeder.id, days)
        sites = [_net_wh(tables, site.id, days) for site in place.sites]
        peak_w = _peak_w(tables, place.feeder.id, days)
    common = set(feeder).intersection(*sites) if sites else set()
    errors_wh = [abs(feeder[start] - sum(site[start] for site in sites)) for start in common]
    return {
        "max_balance_error_w": max(errors_wh, default=0.0) * 3600 / DELIVERY_INTERVAL_S,
        "feeder_peak_w": peak_w,
        "intervals_compared": len(common),
    }


def _net_wh(tables: Tables, member: str, days: Sequence[datetime]) -> dict[str, int]:
    """Return the metered net energy by interval, import positive, where the meter's own counters gave it."""
    pks = sorted({keys.meter_reading(member, day).pk for day in days})
    items = (item for pk in pks for item in tables.query(Table.ENERGY_METRICS, pk))
    return {
        item.key.sk: item.body["import_wh"] - item.body["export_wh"]
        for item in items
        if item.body["quality"] == Quality.GOOD
    }


def _peak_w(tables: Tables, member: str, days: Sequence[datetime]) -> float:
    pks = sorted({keys.energy_day(member, epoch_ms(day)) for day in days})
    items = (item for pk in pks for item in tables.query(Table.ENERGY_METRICS, pk))
    told = [point for item in items for point in point_in(item.body, "active_power_w") if point.count]
    return max((max(abs(point.least), abs(point.greatest)) for point in told), default=0.0)


def _site(name: str, agent: str, seen: SiteView) -> dict[str, Any]:
    return {
        "id": name,
        "agent": agent,
        "online": seen.online,
        "orders": seen.orders,
        "traded_wh": seen.traded_wh,
        "connection_w": seen.values.get("meter/active_power_w"),
        "soc_percent": seen.values.get("inverter/soc_pct"),
    }


def _event_lines(event: dict[str, Any], claims: list[dict[str, Any]]) -> list[str]:
    told = [f"  {step['at'][11:19]} UTC  {step['what']}" for step in event["story"]]
    records = sum(event["evidence"].values())
    return [
        f"event: limit {event['limit_w'] / 1000:.0f} kW, {event['commands']} commands, {event['applied']} applied, "
        f"{event['effective']} effective, {event['delivered_wh'] / 1000:.1f} kWh",
        *told,
        f"  evidence: {records} records, {event['evidence'].get('metered', 0)} of them from the sites' meters",
        *_money_lines([claim for claim in claims if claim["event"] == event["event_id"] and claim["taken"]]),
    ]


def _money_lines(claims: list[dict[str, Any]]) -> list[str]:
    """Return what sites are paid for an event and owe for it, and why a site that obeyed may owe."""
    settled = [claim for claim in claims if claim["paid_uct"] is not None]
    if not settled:
        return []
    paid_uct = -sum(min(0, claim["paid_uct"]) for claim in settled)
    owed_uct = sum(max(0, claim["paid_uct"]) for claim in settled)
    lines = [f"  settled: {money(paid_uct)} for what was delivered, {money(owed_uct)} owed for what was not"]
    held = sorted({claim["site"] for claim in settled if Flag.CAPPED in claim["flags"] and claim["paid_uct"] > 0})
    if held:
        lines.append(f"  a baseline follows the day by {_CAP_PERCENT} % at most; {', '.join(held)} used more")
    return lines


def _with_evidence(folder: Path, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with what proves them: how many records of each kind, and the steps that they tell."""
    with opened(files.tables(folder)) as tables:
        records = {event["event_id"]: evidence(tables, event["event_id"]) for event in events}
    return [
        {
            **event,
            "evidence": dict(Counter(str(record["kind"]) for record in records[event["event_id"]])),
            "story": _story(records[event["event_id"]]),
        }
        for event in events
    ]


def _story(records: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the first of each step in an event's evidence, in time order."""
    told: dict[str, dict[str, str]] = {}
    for record in records:
        fields, site = record["fields"], record["site"]
        match record["kind"], fields.get("stage"):
            case "detected", _:
                what = f"transformer at {fields['power_w'] / 1000:.0f} kW, its limit is {fields['limit_w'] / 1000:.0f}"
            case "ordered", _:
                what = f"first order, to {site}: {fields['kind']} {fields.get('power_w', fields.get('max_w'))} W"
            case "acknowledged", "applied":
                what = f"registers of {site} read back as written"
            case "acknowledged", "effective":
                what = f"effective at the meter of {site}"
            case "released", _:
                what = f"first release, of {site}"
            case "ended", _:
                what = "over"
            case _:
                continue
        told.setdefault(f"{record['kind']} {fields.get('stage')}", {"at": record["at"], "what": what})
    return sorted(told.values(), key=lambda step: step["at"])


def _quantile(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
