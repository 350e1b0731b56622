"""The plan over past days of whole sites: what storage saved of what it could have saved with the future known.

    SITEWATT_SERIES=FOLDER python -m benchmarks sites [--json]
    python -m benchmarks.bench_sites FOLDER [--site f1] [--window 2016-04-01] [--days 6] [--cache FOLDER] [--hours]

FOLDER/site_de15 holds five sites of a year in quarters of an hour with a tariff that follows the day-ahead price; the
project does not ship them. Each window is played by ``season.play``, as ``sitewatt plan`` does it: the gateway's own
forecast of its own past, no weather, tomorrow's prices from 13:00 on, the plan of the running agent with its steering.
A window begins with the storage half full; what is left at its end counts at the window's mean price.

``--cache`` keeps the forecasts of a window by the forecaster's source: they take two fifths of the time, and no change
of the planner changes them. ``--hours`` adds where the money went: what three hours cost by each policy, and what was
stored at their end.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

import domain.forecasting
import edge.trading
from contracts.units import DELIVERY_INTERVAL
from domain.calendar.holidays import Holidays
from edge.trading.model import ForecastSource, SiteForecast
from edge.trading.own_forecast import Place
from edge.trading.plan.past_outlook import PastOutlook
from edge.trading.plan.problem import Connection, Store
from edge.trading.plan.scenarios import Past
from edge.trading.plan.season import Played, Policy, Season, play

FOLDER: Final = "SITEWATT_SERIES"
SET: Final = "site_de15"
# Days in each season.
WINDOWS: Final = ("2016-01-11", "2016-04-01", "2016-07-01", "2016-10-01")
DAYS: Final = 6
_SHOWN: Final = (Policy.NONE, Policy.RULE, Policy.PLAN, Policy.PERFECT)
_SHOWN_QUARTERS: Final = 12
# Wide enough that no limit of the connection counts.
_CONNECTION: Final = Connection(import_w_max=1e7, export_w_max=1e7)


def run() -> Mapping[str, float]:
    """Return the share of what perfect foresight saves, by site and window; nothing where no folder is told."""
    folder = os.environ.get(FOLDER)
    if folder is None or not (Path(folder) / SET).exists():
        print(f"plans of whole sites are not measured: {FOLDER} names no folder with {SET}", file=sys.stderr)
        return {}
    data = Path(folder) / SET
    found: dict[str, float] = {}
    for site in _sites(data):
        for window in WINDOWS:
            costs = _costs(_played(data, site, window, days=DAYS))
            found[f"{site} {window} | plan, %"] = _share(costs, Policy.PLAN)
            found[f"{site} {window} | rule, %"] = _share(costs, Policy.RULE)
    return found


def main() -> None:
    """Play the sites and windows that are asked for and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="Holds site_de15.")
    parser.add_argument("--site", action="append", help="h1, h2, hp1, f1, f2; all without one.")
    parser.add_argument("--window", action="append", help="First day, as 2016-04-01; four of them without one.")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--cache", type=Path, help="Keeps the forecasts of each window.")
    parser.add_argument("--hours", action="store_true", help="Where the money went.")
    parser.add_argument("--json", action="store_true", help="A line is an object.")
    asked = parser.parse_args()
    data = asked.folder / SET
    totals: dict[str, list[float]] = defaultdict(list)
    for site in asked.site or _sites(data):
        for window in asked.window or WINDOWS:
            began = time.process_time()
            played = _played(data, site, window, days=asked.days, cache=asked.cache)
            took_s = time.process_time() - began
            costs = _costs(played)
            plan, rule = _share(costs, Policy.PLAN), _share(costs, Policy.RULE)
            totals[site].append(plan)
            totals[f"{site}, rule"].append(rule)
            row = {"site": site, "window": window, "plan": plan, "rule": rule, "s": took_s}
            row |= {f"{policy} EUR": cost for policy, cost in costs.items()}
            text = f"{site:4} {window} plan {plan:6.1f} rule {rule:6.1f}  " + "  ".join(
                f"{policy} {cost:.2f}" for policy, cost in costs.items()
            )
            print(json.dumps(row) if asked.json else f"{text}  ({took_s:.0f} s)", flush=True)
            if asked.hours:
                _print_hours(played)
    if not asked.json:
        for name, shares in totals.items():
            print(f"{name:10} {sum(shares) / len(shares):6.1f}")


def _played(data: Path, site: str, window: str, *, days: int, cache: Path | None = None) -> dict[Policy, Played]:
    season, store = _season(data, site), _store(data, site)
    first = (datetime.fromisoformat(window).replace(tzinfo=UTC) - season.start) // DELIVERY_INTERVAL
    outlook = PastOutlook(start=season.start, load_w=season.load_w, pv_w=season.pv_w, place=_place(data, site))
    kept = None
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        kept = _Kept(outlook, cache / f"{site}-{window}-{_source()}.npz", season.start)
    played = {
        policy: play(
            season,
            stores=[store],
            connection=_CONNECTION,
            policy=policy,
            first=first,
            days=days,
            outlook=kept or outlook,
        )
        for policy in _SHOWN
    }
    if kept is not None:
        kept.keep()
    return played


class _Kept:
    """Forecasts of past quarters, each made once for a source of the forecaster."""

    def __init__(self, outlook: PastOutlook, file: Path, start: datetime) -> None:
        self._outlook, self._file, self._start = outlook, file, start
        self._known: dict[int, np.ndarray] = {}
        if file.exists():
            with np.load(file) as stored:
                self._known = dict(zip(stored["index"].tolist(), stored["energies"], strict=True))
        self._read = len(self._known)

    def forecasts(self, index: int) -> tuple[SiteForecast, ...]:
        if index not in self._known:
            made = self._outlook.forecasts(index)
            self._known[index] = np.array([(each.load_wh, each.pv_wh) for each in made], dtype=np.float64)
        now = self._start + index * DELIVERY_INTERVAL
        return tuple(
            SiteForecast(
                start=now + step * DELIVERY_INTERVAL,
                load_wh=int(load_wh),
                pv_wh=int(pv_wh),
                source=ForecastSource.OWN,
            )
            for step, (load_wh, pv_wh) in enumerate(self._known[index])
        )

    def past(self, index: int) -> Past:
        return self._outlook.past(index)

    def keep(self) -> None:
        if len(self._known) > self._read:
            np.savez_compressed(
                self._file, index=np.array(list(self._known)), energies=np.stack(list(self._known.values()))
            )


def _place(data: Path, site: str) -> Place:
    """Return what a site's tariff and its devices tell: Germany's holidays, the generator's peak; not where it is."""
    return Place(pv_peak_w=1000.0 * _facts(data)["sites"][site]["pv_kwp"], holidays=Holidays(country="DE"))


def _source() -> str:
    """Return what changes when the forecaster does."""
    digest = hashlib.sha256()
    for package, names in (
        (domain.forecasting, "*.py"),
        (edge.trading, "*.py"),
        (edge.trading, "plan/past_outlook.py"),
    ):
        for path in sorted(Path(package.__path__[0]).glob(names)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _costs(played: Mapping[Policy, Played]) -> dict[Policy, float]:
    return {policy: each.cost_mct / 100_000 for policy, each in played.items()}


def _share(costs: Mapping[Policy, float], policy: Policy) -> float:
    return 100 * (costs[Policy.NONE] - costs[policy]) / (costs[Policy.NONE] - costs[Policy.PERFECT])


def _print_hours(played: Mapping[Policy, Played]) -> None:
    """Print what each three hours cost by each policy, and what was stored at their end."""
    plan = played[Policy.PLAN].quarters
    shown = (Policy.PLAN, Policy.RULE, Policy.PERFECT)
    for begin in range(0, len(plan), _SHOWN_QUARTERS):
        span = slice(begin, begin + _SHOWN_QUARTERS)
        load_kwh = sum(each.load_wh for each in plan[span]) / 1000
        sun_kwh = -sum(each.pv_wh for each in plan[span]) / 1000
        costs = [sum(each.cost_mct for each in played[policy].quarters[span]) / 100_000 for policy in shown]
        stored = [played[policy].quarters[span][-1].stored_wh / 1000 for policy in shown]
        aim = Counter(each.aim or "stands back" for each in plan[span]).most_common(1)[0][0]
        ways = "  ".join(
            f"{policy} {cost:6.2f} EUR {kwh:6.1f} kWh" for policy, cost, kwh in zip(shown, costs, stored, strict=True)
        )
        print(f"  {plan[begin].start:%d %b %H:%M} load {load_kwh:6.1f} sun {sun_kwh:6.1f}  {ways}  {aim}")


def _facts(data: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((data / "sites.json").read_text(encoding="utf-8"))
    return found


def _sites(data: Path) -> list[str]:
    return list(_facts(data)["sites"])


def _store(data: Path, site: str) -> Store:
    facts = json.loads((data / "sites.json").read_text(encoding="utf-8"))
    battery, own = facts["battery"], facts["sites"][site]
    capacity_wh = 1000.0 * own["battery_kwh"]
    return Store(
        id="battery",
        capacity_wh=capacity_wh,
        charge_w_max=1000.0 * own["battery_kw"],
        discharge_w_max=1000.0 * own["battery_kw"],
        stored_wh=battery["soc_start"] * capacity_wh,
        stored_wh_max=capacity_wh,
        charge_efficiency=battery["efficiency_charge"],
        discharge_efficiency=battery["efficiency_discharge"],
        wear_mct_per_kwh=100_000 * battery["wear_eur_per_kwh_discharged"],
    )


def _season(data: Path, site: str) -> Season:
    """Return a year of a site; its clock, which has no gaps, counts as UTC."""
    sites, tariff = list(_rows(data / "sites_2016.csv")), list(_rows(data / "tariff_2016.csv"))
    kind = json.loads((data / "sites.json").read_text(encoding="utf-8"))["sites"][site]["tariff"]
    return Season(
        start=datetime.fromisoformat(sites[0]["time"]).replace(tzinfo=UTC),
        load_w=[1000 * float(row[f"{site}_load_kw"]) for row in sites],
        pv_w=[-1000 * float(row[f"{site}_pv_kw"]) for row in sites],
        buy_mct_per_kwh=[100_000 * float(row[f"{kind}_buy_eur_kwh"]) for row in tariff],
        sell_mct_per_kwh=[100_000 * float(row[f"{kind}_sell_eur_kwh"]) for row in tariff],
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


if __name__ == "__main__":
    main()
