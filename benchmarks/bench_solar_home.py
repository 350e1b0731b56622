"""The published control bench of a solar home: a day's cost by the plan, by self-consumption and with the future known.

    SITEWATT_SERIES=FOLDER python -m benchmarks.bench_solar_home [--days 30]

Customer 12 of Ausgrid, thirty days from 29 November 2011, half hours, generation scaled to 4 kWp; a lossless battery of
8 kWh that begins half full; nothing may be fed in (what is left over is not generated), 3 kW at most are taken; 0.10
EUR/kWh from midnight to six and 0.20 EUR/kWh else. What is stored at the end counts nothing, as published: a plan that
keeps some for the next day is told dearer by it.

Source: Haessig, "Solar home control bench" (github.com/pierre-haessig/solarhome-control-bench): rule-based 0.563 EUR a
day, predictive control 0.509, the future known 0.354.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from contracts.units import DELIVERY_INTERVAL
from edge.trading.own_forecast import Place
from edge.trading.plan.past_outlook import PastOutlook
from edge.trading.plan.problem import Connection, Store
from edge.trading.plan.season import Policy, Season, play

FOLDER: Final = "SITEWATT_SERIES"
FILE: Final = "house_sydney/ausgrid12_2011_07_2012_02.csv"
FIRST: Final = datetime(2011, 11, 29, tzinfo=UTC)
DAYS: Final = 30
CAPACITY_WH: Final = 8_000.0
PEAK_W: Final = 4_000.0
LATITUDE_DEG: Final = -33.9  # Sydney: the days grow to Christmas.
_MEASURED_PEAK_KW: Final = 1.04
_GRID_W_MAX: Final = 3_000.0
_NIGHT_ENDS_H: Final = 6
_NIGHT_MCT: Final = 10_000.0
_DAY_MCT: Final = 20_000.0


def run(days: int = DAYS) -> Mapping[str, float]:
    """Return what a day costs by each policy; nothing where no folder is told."""
    folder = os.environ.get(FOLDER)
    if folder is None or not (Path(folder) / FILE).exists():
        print(f"the solar home is not measured: {FOLDER} names no folder with {FILE}", file=sys.stderr)
        return {}
    season = _season(Path(folder) / FILE)
    store = Store(
        id="battery",
        capacity_wh=CAPACITY_WH,
        # The bench bounds the energy of the battery alone.
        charge_w_max=2 * CAPACITY_WH,
        discharge_w_max=2 * CAPACITY_WH,
        stored_wh=CAPACITY_WH / 2,
        stored_wh_max=CAPACITY_WH,
        charge_efficiency=1.0,
        discharge_efficiency=1.0,
        wear_mct_per_kwh=0.0,
    )
    connection = Connection(import_w_max=_GRID_W_MAX, export_w_max=0.0, curtailable=True)
    outlook = PastOutlook(
        start=season.start,
        load_w=season.load_w,
        pv_w=season.pv_w,
        place=Place(pv_peak_w=PEAK_W, latitude_deg=LATITUDE_DEG),
    )
    found: dict[str, float] = {}
    for policy in (Policy.RULE, Policy.PERFECT, Policy.PLAN):
        began = time.process_time()
        played = play(
            season,
            stores=[store],
            connection=connection,
            policy=policy,
            first=(FIRST - season.start) // DELIVERY_INTERVAL,
            days=days,
            outlook=outlook,
        )
        found[f"EUR a day, {policy}"] = sum(each.cost_mct for each in played.quarters) / 100_000 / days
        found[f"kWh left, {policy}"] = played.quarters[-1].stored_wh / 1000
        print(
            f"{policy}: {found[f'EUR a day, {policy}']:.4f} EUR a day ({time.process_time() - began:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    return found


def _season(file: Path) -> Season:
    """Return the months of the file in quarters of an hour; the wall's clock counts as UTC."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    starts = [datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) for row in rows]
    buy = [_NIGHT_MCT if start.hour < _NIGHT_ENDS_H else _DAY_MCT for start in starts]
    load_w = [1000 * float(row["load_kw"]) for row in rows]
    pv_w = [-PEAK_W * float(row["pv_kw"]) / _MEASURED_PEAK_KW for row in rows]
    return Season(
        start=starts[0],
        load_w=_quarters(load_w),
        pv_w=_quarters(pv_w),
        buy_mct_per_kwh=_quarters(buy),
        sell_mct_per_kwh=[0.0] * (2 * len(rows)),
    )


def _quarters(half_hours: list[float]) -> list[float]:
    return [value for value in half_hours for _ in range(2)]


def main() -> int:
    """Play the days that are asked for and print a line for each policy; exit 1 if there is nothing to play."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--days", type=int, default=DAYS)
    figures = run(parser.parse_args().days)
    for name, value in figures.items():
        print(f"{name:24} {value:.4f}")
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main())
