"""What a run left behind, read from outside: the plant's truth, the stores, the journals, the logs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cloud.local.opening import ask_streams
from cloud.local.proof import prove_file
from cloud.local.report import ledger_lines, opened, read_report
from cloud.stores import keys
from cloud.stores.tables import Table
from contracts.control import AckStage
from contracts.units import Quality, epoch_ms, instant
from firmware_sim.fault_rules import FaultKind as WireFault
from sitewatt.demo import files, report
from sitewatt.demo.neighbourhood import ZONE, Neighbourhood
from sitewatt.swarm.doors import Session
from sitewatt.swarm.orders import Given
from sitewatt.swarm.plan import LIAR, FaultKind, Ordered, Plan
from sitewatt.swarm.stations import StationSaid
from sitewatt.swarm.world import Chronicle

Power = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the cloud holds of one site and delivery interval: energies and counters in Wh, as the gateway sent them."""

    site: str
    start_ms: int
    import_wh: int
    export_wh: int
    register_import_wh: int
    register_export_wh: int
    good: bool


@dataclass(frozen=True, kw_only=True)
class Limit:
    """An order, when it was given, and what was heard of it; ``held_from_ms`` is when the site said it has effect."""

    number: int
    site: str
    what: Ordered
    max_w: int
    given_ms: int
    held_from_ms: int | None
    ends_ms: int
    refusals: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Plain values, so that every judge is a function of them."""

    channels: Mapping[str, Mapping[str, int]]
    proofs: Sequence[Mapping[str, Any]]
    ledger: Mapping[str, int]
    """The sums of what the tables hold, whatever the journal says."""
    intervals: Sequence[Mapping[str, Any]]
    """Every delivery interval that was cleared, with its state."""
    readings: Sequence[Reading]
    truth: Sequence[tuple[int, Mapping[str, Power]]]
    limits: Sequence[Limit]
    reboots: Sequence[tuple[str, int]]
    """Sites whose inverter loses its supply for a moment, and with it every order, and when."""
    events_ms: Sequence[tuple[int, int]]
    """Spans in which the cloud's own demand response may limit sites."""
    lies_wh: Mapping[int, int]
    """What the dishonest site is settled with, by the interval's begin: the sum of its lines of the ledger, in Wh."""
    tracebacks: Mapping[str, Sequence[str]]
    set_aside: Sequence[str]
    chronicle: Chronicle
    stations: Sequence[StationSaid]
    """What the charging station of the run held, second by second."""
    sessions: Sequence[Session]
    """When gateways came in by a certificate; none where the run has no certificates."""
    started_ms: int
    """What the site clock's second zero is in epoch milliseconds."""
    ended_ms: int
    """When the market was last given the time."""

    @property
    def intervals_settled(self) -> int:
        """Return how many delivery intervals are settled."""
        return sum(bool(interval["settled"]) for interval in self.intervals)

    def truth_of(self, site: str) -> Iterator[tuple[int, Power]]:
        """Yield instants and what the plant says of one site."""
        return ((at_ms, sites[site]) for at_ms, sites in self.truth)


def gather(
    plan: Plan,
    folder: Path,
    *,
    given: Sequence[Given],
    chronicle: Chronicle,
    ended_ms: int,
    stations: Sequence[StationSaid] = (),
    sessions: Sequence[Session] = (),
) -> Evidence:
    """Return the evidence of a run whose processes have ended.

    Args:
        ended_ms: The site's instant at which the run began to end, while everything still ran.

    Raises:
        CloudError: The cloud's tables cannot be read.
        OutboxError: A gateway's outbox cannot be read.
    """
    place, tables = plan.place, files.tables(folder)
    cloud = read_report(tables)
    # Of sound senders: what a dishonest one says may be set aside.
    every = ask_streams(tables, lambda streams: streams.all_set_aside())
    set_aside = tuple(text for text in (f"{one.id}: {one.error}" for one in every) if LIAR not in text)
    truth = tuple(_truth(files.truth(folder), feeder=place.feeder.id))
    return Evidence(
        channels=report.channels(folder, place),
        proofs=tuple(proof.answer() for proof in prove_file(tables / "tables.db")),
        ledger=cloud.ledger,
        intervals=cloud.intervals,
        readings=tuple(_readings(place, folder)),
        truth=truth,
        limits=tuple(_limit(one) for one in given),
        reboots=tuple(_reboots(plan, switched_on_ms=truth[0][0])),
        events_ms=tuple(_span_ms(event) for event in cloud.dr_events),
        lies_wh=_lies_wh(tables),
        tracebacks={log.stem: tuple(tracebacks_of(log)) for log in sorted(files.logs(folder).glob("*.log"))},
        set_aside=set_aside,
        chronicle=chronicle,
        stations=tuple(stations),
        sessions=tuple(sessions),
        started_ms=epoch_ms(place.started_at),
        ended_ms=ended_ms,
    )


def _lies_wh(tables: Path) -> Mapping[int, int]:
    sums: dict[int, int] = {}
    with opened(tables) as opened_tables:
        for line in ledger_lines(opened_tables, ZONE):
            if LIAR in line["account"]:
                sums[line["interval_ms"]] = sums.get(line["interval_ms"], 0) + line["energy_wh"]
    return sums


def _readings(place: Neighbourhood, folder: Path) -> Iterator[Reading]:
    with opened(files.tables(folder)) as tables:
        for site in (place.feeder.id, *(site.id for site in place.sites)):
            days = [place.started_at, place.started_at + timedelta(days=1)]
            for pk in sorted({keys.meter_reading(site, day).pk for day in days}):
                for item in tables.query(Table.ENERGY_METRICS, pk):
                    reading = _reading(site, item.body)
                    if instant(reading.start_ms) >= place.started_at:  # Before lies the history that was written.
                        yield reading


def _reading(site: str, body: Mapping[str, Any]) -> Reading:
    return Reading(
        site=site,
        start_ms=int(body["interval_start"]),
        import_wh=body["import_wh"],
        export_wh=body["export_wh"],
        register_import_wh=body["register_import_wh"],
        register_export_wh=body["register_export_wh"],
        good=body["quality"] == Quality.GOOD,
    )


def _truth(path: Path, *, feeder: str) -> Iterator[tuple[int, Mapping[str, Power]]]:
    """Yield instants and what each site was; the feeder's meter stands among them under the feeder's name."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # The last line may be half written.
                said = json.loads(line)
                whole = {
                    "connection_w": said["feeder_w"],
                    "import_wh": said["feeder_import_wh"],
                    "export_wh": said["feeder_export_wh"],
                }
                yield int(said["at"]), {**said["sites"], feeder: whole}


def _limit(one: Given) -> Limit:
    held = one.first(AckStage.EFFECTIVE)
    return Limit(
        number=one.order.number,
        site=one.order.site,
        what=one.order.what,
        max_w=one.order.max_w,
        given_ms=epoch_ms(one.command.issued_at),
        held_from_ms=None if held is None else epoch_ms(held.at),
        ends_ms=epoch_ms(one.command.expires_at),
        refusals=tuple(str(ack.reason) for ack in one.answers if ack.stage is AckStage.REJECTED),
    )


def _reboots(plan: Plan, *, switched_on_ms: int) -> Iterator[tuple[str, int]]:
    for fault in plan.faults:
        if fault.kind is FaultKind.DEVICE and fault.detail == WireFault.REBOOT:
            yield fault.target.partition("/")[0], switched_on_ms + int(fault.at_s * 1000)


def _span_ms(event: Mapping[str, Any]) -> tuple[int, int]:
    begun = _ms(event["detected_at"])
    ended = event.get("ended_at")
    return begun, _ms(ended) if ended else 1 << 62


def _ms(stamp: Any) -> int:
    return int(stamp) if isinstance(stamp, int) else epoch_ms(datetime.fromisoformat(str(stamp)))


def tracebacks_of(log: Path) -> Iterator[str]:
    """Yield what was raised by each traceback of a log, the innermost of a group: its last line that names an error."""
    raised: str | None = None
    inside = False
    for line in [*log.read_text(encoding="utf-8", errors="replace").splitlines(), _LOG_LINE_OF_END]:
        if _BEGINS.match(line):
            inside = True
        elif _LOGGED.match(line) and inside:
            yield raised or "a traceback without an end"
            inside, raised = False, None
        elif inside and (found := _RAISED.match(line)):
            raised = found[1]


_LOG_LINE_OF_END: Final = "2026-01-01 00:00:00,000 the end"
_LOGGED: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_BEGINS: Final = re.compile(r"[\s|+]*(Exception Group )?Traceback \(most recent call last\)")
_RAISED: Final = re.compile(r"[\s|+]*([A-Za-z_][\w.]*(?:Error|Exception|Failed|Stopped|Interrupt|InUse)\b.*)")
