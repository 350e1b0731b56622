"""What runs covered: how much of what was tried, in plain numbers that add up over runs."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sitewatt.swarm.evidence import Evidence
from sitewatt.swarm.run import Verdict


def ended_leases(evidence: Evidence) -> int:
    """Return how often a station's limit ended because nobody renewed it."""
    return sum(before.leased and not after.leased for before, after in pairwise(evidence.stations))


def charges_started(evidence: Evidence) -> int:
    """Return how many charges a gateway began for a car that waited."""
    return len({said.transaction for said in evidence.stations if said.transaction is not None})


@dataclass(kw_only=True)
class Coverage:
    """Sums over runs. ``site_days`` counts each gateway's own time."""

    seeds: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    void: list[int] = field(default_factory=list)
    site_days: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    thrown: int = 0
    messages: int = 0
    orders: int = 0
    orders_held: int = 0
    intervals_settled: int = 0
    readings: int = 0
    trades: int = 0
    leases_ended: int = 0
    charges_started: int = 0

    @property
    def undecided(self) -> bool:
        """Return whether no seed was judged, since this machine stood still in each run."""
        return len(self.void) == len(self.seeds)

    def add(self, verdict: Verdict) -> None:
        """Take one run in."""
        plan, evidence = verdict.plan, verdict.evidence
        self.seeds.append(plan.seed)
        if verdict.failed:
            self.failed.append(plan.seed)
        if verdict.void:
            self.void.append(plan.seed)
        if evidence is None:
            return
        self.site_days += plan.span_s * len(plan.gateways) / 86_400
        self.faults.update(struck.fault.kind.value for struck in evidence.chronicle.struck)
        self.restarts += evidence.chronicle.restarts
        self.thrown += evidence.chronicle.thrown
        self.messages += verdict.messages
        self.orders += len(evidence.limits)
        self.orders_held += sum(limit.held_from_ms is not None for limit in evidence.limits)
        self.intervals_settled += evidence.intervals_settled
        self.readings += len(evidence.readings)
        self.leases_ended += ended_leases(evidence)
        self.charges_started += charges_started(evidence)
        self.trades += sum(int(proof["trades"]) for proof in evidence.proofs)

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as JSON values."""
        return {**vars(self), "faults": dict(sorted(self.faults.items())), "site_days": round(self.site_days, 3)}

    def lines(self) -> list[str]:
        """Return the sums for people."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items())) or "none"
        return [
            f"{len(self.seeds)} seeds, {len(self.failed)} failed, {len(self.void)} void (the machine stood still)",
            f"{self.site_days:.2f} gateway days; faults: {kinds}; {self.restarts} restarts",
            f"{self.messages} messages, {self.thrown} of them repeated or never valid; {self.trades} trades",
            f"{self.readings} readings, {self.intervals_settled} intervals settled, {self.orders_held} of"
            f" {self.orders} limits came into effect",
            f"{self.leases_ended} times a charging station let a limit go that nobody renewed,"
            f" {self.charges_started} charges were started",
        ]
