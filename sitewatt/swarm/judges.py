"""Who judges a run: each a pure function of the evidence that returns what it finds wrong.

None of them asks a process of the product what it did: they compare the plant's truth, the stores, the journals and
the logs with one another.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from contracts.units import DELIVERY_INTERVAL_S, epoch_ms
from edge.control.lease import LEASE_S, REVERT_S
from edge.devices.phases import PHASE_HOLD_S
from sitewatt.swarm.evidence import Evidence, Limit, Power, Reading
from sitewatt.swarm.liar import ENERGY_WH_MAX as LIE_WH_MAX
from sitewatt.swarm.plan import BROKER, EVERYTHING, LIAR, FaultKind, Ordered
from sitewatt.swarm.stations import StationSaid
from sitewatt.swarm.wires import SILENT_S

# A meter is read once a second and counts whole watt hours; a reading may be taken so many seconds beside the boundary.
BOUNDARY_S: Final = 10.0
ROUNDING_WH: Final = 20.0
# Devices and the cycle count whole seconds, so what is held may end so much before the instant of the order's end.
EDGE_S: Final = 2.5
# From the operator's order to the site's word that it has effect, where nothing fails then or has failed just before.
EFFECT_S: Final = 60.0
RECOVERS_S: Final = 180.0
# The load of a home changes while its generation is capped; the next cycles must have caught up.
CATCH_UP_S: Final = 15.0
# The market waits ten minutes for a meter, and looks at the time each quarter of a minute.
SETTLES_S: Final = 900.0
# A station is told tenths of an ampere, by the voltage that it measures.
STATION_TOLERANCE_W: Final = 75.0
# The current at which a station goes on alone once its lease has ended: 6 A on three phases of 230 V.
STATION_ALONE_W: Final = 4_140.0
# A charger changes its phases at most so often; then what an order leaves is charged with, as soon as it has effect.
CHARGES_S: Final = PHASE_HOLD_S + EFFECT_S
LIMIT_TOLERANCE_W: Final = 150.0
LIMIT_TOLERANCE_SHARE: Final = 0.02
# What governs the end of a limit is its own expiry; the device may count its last timer to the end, and a tenth.
LETS_GO_S: Final = REVERT_S * 1.1
# After a reboot the edge lease governs: within it, and a tenth, the limit is there again.
COMES_BACK_S: Final = LEASE_S * 1.1
FREE_SHARE: Final = 0.95
MEMORY_MB_MAX: Final = 400.0
DESCRIPTORS_MAX: Final = 400
FILES_BYTES_MAX: Final = 400 * 1024 * 1024
# What a part takes is known after so long; beyond it memory may move by a twentieth. Only a run that goes on for long
# after it can tell.
SETTLED_S: Final = 3 * 3600.0
WATCHED_S: Final = 6 * 3600.0
CREEP_SHARE: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken promise.

    ``at_s`` is the site instant by which a promise of time was broken: a machine that stood still then may be to blame.
    """

    judge: str
    what: str
    at_s: float | None = None


def nothing_lost(evidence: Evidence) -> Iterator[Finding]:
    """What gateways handed over is in the cloud's tables, or waits in its streams."""
    for channel, counts in evidence.channels.items():
        if counts["lost"]:
            yield _finding(nothing_lost, f"{channel}: {counts['lost']} of {counts['published']} are nowhere")
    for record in evidence.set_aside:
        yield _finding(nothing_lost, f"set aside, though every sender was sound: {record}")


def books_balance(evidence: Evidence) -> Iterator[Finding]:
    """The journal, replayed, leads to what the tables hold; the ledger sums to zero; each interval settles in time."""
    for proof in evidence.proofs:
        if proof["parted_at"]:
            yield _finding(books_balance, f"journal of {proof['zone']} and tables part: {proof['parted_at']}")
        if proof["ledger_sum_uct"] or proof["ledger_sum_wh"]:
            sums = f"{proof['ledger_sum_uct']} uct and {proof['ledger_sum_wh']} Wh"
            yield _finding(books_balance, f"ledger of {proof['zone']} sums to {sums}")
    if evidence.ledger["sum"] or evidence.ledger["energy_sum"]:
        sums = f"{evidence.ledger['sum']} uct and {evidence.ledger['energy_sum']} Wh"
        yield _finding(books_balance, f"the ledger lines of the tables sum to {sums}")
    for interval in evidence.intervals:
        end_ms = epoch_ms(datetime.fromisoformat(str(interval["start"]))) + DELIVERY_INTERVAL_S * 1000
        if not interval["settled"] and end_ms + SETTLES_S * 1000 < evidence.ended_ms:
            late_s = (evidence.ended_ms - end_ms) / 1000
            what = f"interval {interval['start']} is {interval['state']}, not settled, {late_s:.0f} s after its end"
            yield _finding(books_balance, what)


def meters_agree(evidence: Evidence) -> Iterator[Finding]:
    """The energy of each interval is what the plant delivered, and intervals add up to the meter's own counters."""
    truth = {site: list(evidence.truth_of(site)) for site in {reading.site for reading in evidence.readings}}
    before: Reading | None = None
    for reading in sorted(evidence.readings, key=lambda reading: (reading.site, reading.start_ms)):
        if before is not None and _adjoin(before, reading):
            counted = reading.register_import_wh - before.register_import_wh
            if abs(counted - reading.import_wh) > 1:
                yield _finding(
                    meters_agree,
                    f"{reading.site} {reading.start_ms}: {reading.import_wh} Wh imported, counted {counted}",
                )
        if reading.good and (found := _beside_truth(reading, truth[reading.site])) is not None:
            yield found
        before = reading


def _adjoin(before: Reading, reading: Reading) -> bool:
    next_ms = before.start_ms + DELIVERY_INTERVAL_S * 1000
    return before.site == reading.site and reading.start_ms == next_ms and before.good and reading.good


def _beside_truth(reading: Reading, truth: list[tuple[int, Power]]) -> Finding | None:
    end_ms = reading.start_ms + DELIVERY_INTERVAL_S * 1000
    lines = [(at_ms, line) for at_ms, line in truth if abs(at_ms - end_ms) <= BOUNDARY_S * 1000]
    if not lines:
        return None  # The plant did not run there yet.
    told = [float(line["import_wh"]) for _, line in lines]
    if min(told) - ROUNDING_WH <= reading.register_import_wh <= max(told) + ROUNDING_WH:
        return None
    return _finding(
        meters_agree,
        f"{reading.site} {reading.start_ms}: counter {reading.register_import_wh} Wh, the plant says {min(told):.0f} to"
        f" {max(told):.0f} within {BOUNDARY_S:.0f} s of the interval's end",
    )


def processes_live(evidence: Evidence) -> Iterator[Finding]:
    """Nothing ends but what a fault ended, and every start succeeds."""
    for sentence in evidence.chronicle.ended:
        yield _finding(processes_live, f"ended by itself: {sentence}")
    for sentence in evidence.chronicle.failed_starts:
        yield _finding(processes_live, f"did not start: {sentence}")


def refusals_typed(evidence: Evidence) -> Iterator[Finding]:
    """No log holds a traceback: whatever comes is met with a word of its own."""
    for name, raised in evidence.tracebacks.items():
        for line in dict.fromkeys(raised):
            yield _finding(refusals_typed, f"{name} raised {raised.count(line)} times: {line[:200]}")


def orders_take_effect(evidence: Evidence) -> Iterator[Finding]:
    """What the operator orders of a site that nothing fails has effect within a minute."""
    for limit in evidence.limits:
        by_ms = limit.given_ms + int(EFFECT_S * 1000)
        if limit.held_from_ms is not None and limit.held_from_ms <= by_ms:
            continue
        given_s, by_s = _since(evidence, limit.given_ms), _since(evidence, by_ms)
        if by_ms < min(limit.ends_ms, evidence.ended_ms) and not _disturbed(evidence, limit.site, given_s, by_s):
            said = f"; it said {', '.join(limit.refusals)}" if limit.refusals else ""
            yield _finding(
                orders_take_effect,
                f"order {limit.number}: {limit.site} has not said that it has effect {EFFECT_S:.0f} s after it was"
                f" given at {given_s:.0f} s, and nothing failed{said}",
                at_s=by_s,
            )


def _disturbed(evidence: Evidence, site: str, from_s: float, to_s: float) -> bool:
    """Return whether a fault struck the way to the site, or was mended so shortly before that all may recover yet."""
    return any(
        struck.fault.target.partition("/")[0] in (site, BROKER, EVERYTHING)
        and struck.from_s <= to_s
        and struck.to_s + RECOVERS_S >= from_s
        for struck in evidence.chronicle.struck
    )


def limits_held(evidence: Evidence) -> Iterator[Finding]:
    """From the moment a site says that a limit has effect until the limit's end, the plant keeps below it."""
    for limit in _limits(evidence, Ordered.EXPORT):
        if limit.held_from_ms is None:
            continue
        bound_w = limit.max_w + max(LIMIT_TOLERANCE_W, LIMIT_TOLERANCE_SHARE * limit.max_w)
        since_ms: int | None = None
        for at_ms, power in evidence.truth_of(limit.site):
            if not limit.held_from_ms <= at_ms <= limit.ends_ms - EDGE_S * 1000:
                continue
            if -power["connection_w"] <= bound_w or _rebooted(evidence, limit.site, at_ms):
                since_ms = None
                continue
            since_ms = at_ms if since_ms is None else since_ms
            if at_ms - since_ms > CATCH_UP_S * 1000:
                yield _finding(
                    limits_held,
                    f"order {limit.number}: {limit.site} exported {-power['connection_w']:.0f} W above its limit of"
                    f" {limit.max_w} W for {(at_ms - since_ms) / 1000:.0f} s at {_since(evidence, at_ms):.0f} s",
                    at_s=_since(evidence, at_ms),
                )
                break


def _rebooted(evidence: Evidence, site: str, at_ms: int) -> bool:
    """Return whether the site's inverter forgot its orders so shortly before that they need not be there again."""
    return any(
        site == rebooted and 0 <= at_ms - begun_ms <= (SILENT_S + COMES_BACK_S) * 1000
        for rebooted, begun_ms in evidence.reboots
    )


def leases_end(evidence: Evidence) -> Iterator[Finding]:
    """After a limit's end the site is free again within the device's timer, whoever is alive."""
    for limit in _limits(evidence, Ordered.EXPORT):
        until_ms = limit.ends_ms + LETS_GO_S * 1000
        if limit.held_from_ms is None or _limited_again(evidence, limit, until_ms):
            continue
        lines = [power for at_ms, power in evidence.truth_of(limit.site) if limit.ends_ms <= at_ms <= until_ms]
        whole = evidence.truth and evidence.truth[-1][0] >= until_ms
        if whole and lines and not any(-power["pv_w"] >= FREE_SHARE * power["pv_available_w"] for power in lines):
            last = lines[-1]
            yield _finding(
                leases_end,
                f"order {limit.number}: {limit.site} still generates {-last['pv_w']:.0f} W of"
                f" {last['pv_available_w']:.0f} W, {LETS_GO_S:.0f} s after the limit ended",
                at_s=_since(evidence, int(until_ms)),
            )


def _limited_again(evidence: Evidence, limit: Limit, until_ms: float) -> bool:
    others = any(
        other.site == limit.site and other.number != limit.number and other.held_from_ms is not None
        and other.held_from_ms <= until_ms and other.ends_ms >= limit.ends_ms
        for other in _limits(evidence, Ordered.EXPORT)
    )  # fmt: skip
    return others or any(
        begun_ms <= until_ms and ended_ms >= limit.ends_ms - LETS_GO_S * 1000
        for begun_ms, ended_ms in evidence.events_ms
    )


def stations_let_go(evidence: Evidence) -> Iterator[Finding]:
    """A limit that a charging station was given and nobody renewed is gone within its time, whoever is alive."""
    for said in evidence.stations:
        if said.leased and said.told_s_ago is not None and said.told_s_ago > LETS_GO_S:
            held = f"a limit is held {said.told_s_ago:.0f} s after it was last given, {LETS_GO_S:.0f} s at most"
            at_s = _since(evidence, said.at_ms)
            yield _finding(stations_let_go, f"{at_s:.0f} s: {held}", at_s=at_s)
            return


def stations_obey(evidence: Evidence) -> Iterator[Finding]:
    """From effect to end a charging station allows no more than was ordered, and a charge where that is enough."""
    for limit in _limits(evidence, Ordered.STATION):
        if limit.held_from_ms is None:
            continue
        ends_ms = limit.ends_ms - EDGE_S * 1000
        held = [said for said in evidence.stations if limit.held_from_ms <= said.at_ms <= ends_ms]
        since_ms: int | None = None
        for said in held:
            if said.allowed_w <= limit.max_w + STATION_TOLERANCE_W or _is_left_alone(evidence, limit.site, said):
                since_ms = None
                continue
            since_ms = said.at_ms if since_ms is None else since_ms
            if said.at_ms - since_ms > CATCH_UP_S * 1000:
                at_s, for_s = _since(evidence, said.at_ms), (said.at_ms - since_ms) / 1000
                what = f"order {limit.number} of {limit.max_w} W, the station allows {said.allowed_w:.0f} W"
                yield _finding(stations_obey, f"{at_s:.0f} s: {what} for {for_s:.0f} s", at_s=at_s)
                break
        from_s, by_s = _since(evidence, limit.held_from_ms), _since(evidence, limit.held_from_ms) + CHARGES_S
        in_time = [said for said in held if _since(evidence, said.at_ms) <= by_s]
        enough = bool(in_time) and limit.max_w >= max(said.least_w for said in in_time)
        if not enough or _since(evidence, held[-1].at_ms) < by_s or _disturbed(evidence, limit.site, from_s, by_s):
            continue
        if all(said.allowed_w < said.least_w for said in in_time) and not _called_upon(evidence, limit):
            what = (
                f"order {limit.number} of {limit.max_w} W leaves {CHARGES_S:.0f} s no charge, not over one phase either"
            )
            yield _finding(stations_obey, f"{by_s:.0f} s: {what}", at_s=by_s)


def _is_left_alone(evidence: Evidence, site: str, said: StationSaid) -> bool:
    """Return whether a station is at its own safe current, since something keeps its gateway from it."""
    at_s = _since(evidence, said.at_ms)
    return not said.leased and said.allowed_w <= STATION_ALONE_W and _disturbed(evidence, site, at_s, at_s)


def _called_upon(evidence: Evidence, limit: Limit) -> bool:
    """Return whether the cloud's own demand response may have taken what the order left."""
    return any(begun_ms <= limit.ends_ms and ended_ms >= limit.given_ms for begun_ms, ended_ms in evidence.events_ms)


def certificates_decide(evidence: Evidence) -> Iterator[Finding]:
    """Nobody speaks behind a wrong certificate, nor to a broker with one; once it is renewed the gateway is back."""
    for session in evidence.sessions:
        if session.wrong:
            what = f"{session.at_s:.0f} s: {session.gateway} spoke while its certificate was wrong ({session.wrong})"
            yield _finding(certificates_decide, what)
    for struck in evidence.chronicle.struck:
        gateway, by_s = struck.fault.target, struck.to_s + RECOVERS_S
        if struck.fault.kind is not FaultKind.CERTIFICATE or by_s > _since(evidence, evidence.ended_ms):
            continue
        others = replace(evidence.chronicle, struck=[one for one in evidence.chronicle.struck if one is not struck])
        if _disturbed(replace(evidence, chronicle=others), gateway, struck.to_s, by_s):
            continue
        if not any(one.gateway == gateway and struck.to_s <= one.at_s <= by_s for one in evidence.sessions):
            what = f"{gateway} is not back {RECOVERS_S:.0f} s after its certificate was renewed ({struck.fault.detail})"
            yield _finding(certificates_decide, f"{by_s:.0f} s: {what}", at_s=by_s)


def cars_are_started_once(evidence: Evidence) -> Iterator[Finding]:
    """A charge that was started goes on while the car is there, whoever dies, and is not started again."""
    charges: list[str] = []
    for said in evidence.stations:
        if said.transaction is None and charges:
            told = f"charge {charges[-1]} has ended, and its car is still there"
        elif said.transaction is None or said.transaction in charges[-1:]:
            continue
        elif charges:
            told = f"charge {said.transaction} was started beside charge {charges[-1]}"
        else:
            charges.append(said.transaction)
            continue
        at_s = _since(evidence, said.at_ms)
        yield _finding(cars_are_started_once, f"{at_s:.0f} s: {told}", at_s=at_s)
        return


def nothing_grows(evidence: Evidence) -> Iterator[Finding]:
    """Memory, descriptors and files of every part stay within their bound, memory by hours flat from the third on."""
    for name in dict.fromkeys(usage.name for usage in evidence.chronicle.usage):
        told = [usage for usage in evidence.chronicle.usage if usage.name == name]
        for what, most, bound in (
            ("MB of memory", max(usage.rss_mb for usage in told), MEMORY_MB_MAX),
            ("open descriptors", max(usage.descriptors for usage in told), DESCRIPTORS_MAX),
            ("bytes of files", max(usage.files_bytes for usage in told), FILES_BYTES_MAX),
        ):
            if most > bound:
                yield _finding(nothing_grows, f"{name} took {most:.0f} {what}, above {bound:.0f}")
        began_s = told[0].at_s
        early = [usage.rss_mb for usage in told if usage.at_s - began_s <= SETTLED_S]
        late = [usage.rss_mb for usage in told if usage.at_s - began_s > SETTLED_S]
        if told[-1].at_s - began_s >= WATCHED_S and max(late) > (1 + CREEP_SHARE) * max(early):
            grew = f"{name} took {max(early):.1f} MB of memory in its first {SETTLED_S / 3600:.0f} h"
            yield _finding(nothing_grows, f"{grew} and {max(late):.1f} MB later, above a twentieth more")


def lies_are_bounded(evidence: Evidence) -> Iterator[Finding]:
    """A dishonest site is settled with no more than its connection carries, whatever it says and however often."""
    for start_ms, settled_wh in evidence.lies_wh.items():
        if abs(settled_wh) > LIE_WH_MAX:
            what = f"{LIAR} is settled with {settled_wh} Wh at {start_ms}, its connection carries {LIE_WH_MAX} Wh"
            yield _finding(lies_are_bounded, what)


def _limits(evidence: Evidence, what: Ordered) -> Iterator[Limit]:
    return (limit for limit in evidence.limits if limit.what is what)


Judge = Callable[[Evidence], Iterable[Finding]]
JUDGES: Final[tuple[Judge, ...]] = (
    nothing_lost,
    books_balance,
    meters_agree,
    processes_live,
    refusals_typed,
    orders_take_effect,
    limits_held,
    leases_end,
    stations_let_go,
    stations_obey,
    certificates_decide,
    cars_are_started_once,
    nothing_grows,
    lies_are_bounded,
)


def judge(evidence: Evidence) -> list[Finding]:
    """Return everything that any judge finds."""
    return [finding for one in JUDGES for finding in one(evidence)]


def _finding(judged_by: Judge, what: str, *, at_s: float | None = None) -> Finding:
    return Finding(judge=judged_by.__name__, what=what, at_s=at_s)


def _since(evidence: Evidence, at_ms: int) -> float:
    return (at_ms - evidence.started_ms) / 1000
