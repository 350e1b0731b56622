"""``sitewatt plan``: what a site's storage would have earned over past days, by the planner that the gateway runs."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.errors import ConfigError
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from datetime import datetime

    from domain.forecasting.series import Series
    from edge.config import SiteConfig
    from edge.trading.own_forecast import Place
    from edge.trading.plan.problem import Store
    from edge.trading.plan.season import Played, Season

_W = {"W": 1.0, "kW": 1_000.0, "MW": 1_000_000.0}
_MCT_PER_KWH = {"EUR/MWh": 100.0, "EUR/kWh": 100_000.0, "ct/kWh": 1_000.0, "mct/kWh": 1.0}
_QUARTER_S = 900
_POLICIES = ("rule", "plan", "perfect")


def plan(
    site: Annotated[Path, typer.Option(metavar="FILE", help="The site's configuration: batteries, limits, tariffs.")],
    load: Annotated[Path, typer.Option(metavar="FILE", help="Measured load, any file that `forecast` reads.")],
    pv: Annotated[Path | None, typer.Option(metavar="FILE", help="Measured generation, either sign.")] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Day-ahead prices; the site's tariffs stand on them.")
    ] = None,
    load_column: Annotated[str, typer.Option(help="The column of the load.")] = "",
    pv_column: Annotated[str, typer.Option(help="The column of the generation.")] = "",
    price_column: Annotated[str, typer.Option(help="The column of the prices.")] = "",
    load_unit: Annotated[str, typer.Option(help="Its unit, where the file does not tell.")] = "",
    pv_unit: Annotated[str, typer.Option(help="Its unit, where the file does not tell.")] = "",
    price_unit: Annotated[str, typer.Option(help="EUR/MWh, EUR/kWh or ct/kWh, where the file does not tell.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA zone of times without one.")] = "",
    policy: Annotated[str, typer.Option(help="rule, plan or perfect; all three by default.")] = "",
    days: Annotated[int, typer.Option(min=1, max=400, help="How many days, the last ones of the files.")] = 7,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the last day of the policy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Play past days of a site with the gateway's own forecast and planner: cost, cycles, self-sufficiency, peak.

    "% of perfect" is the share of what storage could have saved with the future known. Exit 2 a file or an option
    cannot be used.
    """
    from edge.agent.site_tariff import SiteTariff, connection_of
    from edge.config import load_config
    from edge.trading.plan.programme import SolverFailed, SolverMissing
    from edge.trading.plan.season import QUARTERS_PER_DAY, Policy, play

    if policy and policy not in _POLICIES:
        fail(f"--policy {policy!r} is none of {', '.join(_POLICIES)}", code="policy", as_json=as_json, exit_code=2)
    try:
        config = load_config(site, otherwise=None)
        files = _Files(timezone=timezone, as_json=as_json)
        season = _season(
            config,
            files.read(load, load_column, load_unit, wanted="load", units=_W),
            None if pv is None else files.read(pv, pv_column, pv_unit, wanted="pv", units=_W),
            None
            if prices is None
            else files.read(prices, price_column, price_unit, wanted="price", units=_MCT_PER_KWH),
        )
    except (ConfigError, ValueError) as error:
        fail(str(error), code="input", as_json=as_json, exit_code=BAD_INPUT)
    first = len(season.load_w) - days * QUARTERS_PER_DAY
    if first < 0:
        held = len(season.load_w) // QUARTERS_PER_DAY
        fail(
            f"--days {days} is more than the {held} whole days that all files cover",
            code="days",
            as_json=as_json,
            exit_code=BAD_INPUT,
        )
    tariff = SiteTariff(config.trading)
    peak_w = tariff.peak_w({}) if tariff.charges_power else 0.0
    played_from = season.start + first * timedelta(seconds=_QUARTER_S)
    connection = connection_of(config, tariff=tariff, peak_w=peak_w, at=played_from)
    asked = [Policy(policy)] if policy else [Policy.RULE, Policy.PLAN, Policy.PERFECT]
    played: dict[Policy, Played] = {}
    try:
        for each in dict.fromkeys([Policy.NONE, Policy.PERFECT, *asked]):
            played[each] = play(
                season,
                stores=_stores(config),
                connection=connection,
                policy=each,
                first=first,
                days=days,
                place=_place(config, season),
            )
    except (SolverMissing, SolverFailed) as error:
        fail(f"{error}; perfect foresight cannot be worked out", code="solver", as_json=as_json)
    shown = [played[each] for each in asked]
    rows = [
        _row(each, none=played[Policy.NONE], perfect=played[Policy.PERFECT]) | _power(config, each) for each in shown
    ]
    if plot is not None:
        from sitewatt.plan_plot import day_svg

        plot.write_text(day_svg(shown[-1 if policy else 1].quarters[-QUARTERS_PER_DAY:], season), encoding="utf-8")
    if as_json:
        print_json({"site": config.site.id, "from": played_from.isoformat(), "days": days, "policies": rows})
        return
    tell(f"{config.site.id}, {days} days from {played_from:%Y-%m-%d %H:%M} UTC")
    tell(f"{'policy':10}{'cost EUR':>10}{'% of perfect':>14}{'cycles':>8}{'self-suff.':>12}{'peak W':>9}")
    for row in rows:
        share = "-" if row["percent_of_perfect"] is None else f"{row['percent_of_perfect']:.1f}"
        tell(
            f"{row['policy']:10}{row['cost_eur']:10.2f}{share:>14}{row['cycles']:8.2f}"
            f"{row['self_sufficiency_percent']:11.1f}%{row['peak_w']:9.0f}"
        )
    for row in rows:
        if "power_cost" in row:
            tell(f"{row['policy']}: {row['power_cost']:.2f} {row['currency']} more for the highest power")


@dataclass(frozen=True, kw_only=True)
class _Files:
    """How series are read, and who is told what is wrong with one."""

    timezone: str
    as_json: bool

    def read(self, path: Path, column: str, unit: str, *, wanted: str, units: dict[str, float]) -> "Series":
        """Return a series in W or mct per kWh.

        Raises:
            ValueError: The file cannot be read so; the message names file and reason.
        """
        from dataclasses import replace

        from domain.series.columns import Options
        from domain.series.read import read

        try:
            reading = read(path.read_bytes(), Options(column=column, unit=unit, timezone=self.timezone, wanted=wanted))
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        factor = units.get(reading.unit)
        if factor is None:
            told = reading.unit or "no unit"
            raise ValueError(f"{path}: column {reading.column!r} has {told}, needed is one of {', '.join(units)}")
        return replace(reading.series, values=reading.series.values * factor)


def _season(config: "SiteConfig", load: "Series", pv: "Series | None", prices: "Series | None") -> "Season":
    """Return the quarters that all files cover; a missing value is the one before it.

    Raises:
        ValueError: They cover no whole day together.
    """
    from edge.trading.plan.season import Season

    series = [each for each in (load, pv, prices) if each is not None]
    start, end = max(each.start for each in series), min(each.end for each in series)
    start += timedelta(seconds=-start.timestamp() % _QUARTER_S)
    count = int((end - start).total_seconds() // _QUARTER_S)
    if count < 96:
        raise ValueError(f"the files cover no whole day together: {start.isoformat()} to {end.isoformat()}")
    generation = [0.0] * count if pv is None else [-abs(value) for value in _quarters(pv, start, count)]
    trading, spot = config.trading, config.trading.spot
    buy, sell = (
        [float(trading.import_tariff_mct_per_kwh)] * count,
        [float(trading.export_tariff_mct_per_kwh)] * count,
    )
    price = None if prices is None else _quarters(prices, start, count)
    if trading.tariff is not None:
        buy, sell = _by_tariff(config, start, count, price)
    elif price is not None:
        from edge.trading.plan.rates import spot_rate

        adder, factor = (0, 1.0) if spot is None else (spot.import_adder_mct_per_kwh, spot.import_factor)
        buy = [spot_rate(price_mct_per_kwh=round(each), adder_mct_per_kwh=adder, factor=factor) for each in price]
        if spot is None or spot.export_adder_mct_per_kwh is not None:
            export = 0 if spot is None else spot.export_adder_mct_per_kwh or 0
            sell = [each + export for each in price]
    return Season(
        start=start,
        load_w=[max(0.0, value) for value in _quarters(load, start, count)],
        pv_w=generation,
        buy_mct_per_kwh=buy,
        sell_mct_per_kwh=sell,
    )


def _by_tariff(
    config: "SiteConfig", start: "datetime", count: int, price: list[float] | None
) -> tuple[list[float], list[float]]:
    """Return what energy costs and brings in each quarter by the tariff that the site names.

    Raises:
        ValueError: The tariff follows the market's price, and there is none.
    """
    from edge.agent.site_tariff import SiteTariff

    tariff = SiteTariff(config.trading)
    if tariff.follows_market and price is None:
        raise ValueError("the site's tariff follows the market's price: give --prices")
    rates = [
        tariff.at(start + index * timedelta(seconds=_QUARTER_S), None if price is None else round(price[index]))
        for index in range(count)
    ]
    return [float(buy) for buy, _ in rates], [float(sell) for _, sell in rates]


def _place(config: "SiteConfig", season: "Season") -> "Place":
    """Return where the site is, its generators as the file shows them where the configuration has none."""
    from dataclasses import replace

    from edge.agent.own_history import place_of

    place = place_of(config)
    return place if place.pv_peak_w else replace(place, pv_peak_w=-min(season.pv_w))


def _quarters(series: "Series", start: "datetime", count: int) -> list[float]:
    """Return the mean of each quarter of an hour; where nothing is known, the last value before it."""
    import numpy as np

    found, last = [], 0.0
    for index in range(count):
        begins = (start - series.start).total_seconds() + index * _QUARTER_S
        low = int(begins // series.step_s)
        high = max(low + 1, int((begins + _QUARTER_S) // series.step_s))
        values = series.values[low:high]
        known = values[np.isfinite(values)]
        last = float(known.mean()) if len(known) else last
        found.append(last)
    return found


def _stores(config: "SiteConfig") -> "tuple[Store, ...]":
    """Return the site's batteries, each half full of what it may hold."""
    from edge.trading.model import Battery
    from edge.trading.plan.horizon import store_of

    return tuple(
        store_of(
            Battery(
                capacity_wh=float(each.battery.capacity_wh),
                charge_w_max=float(each.battery.charge_limit_w),
                discharge_w_max=float(each.battery.discharge_limit_w),
                soc_percent=50.0,
                soc_percent_min=each.battery.soc_min_percent,
                soc_percent_max=each.battery.soc_max_percent,
                efficiency=each.battery.efficiency,
            ),
            name=each.id,
        )
        for each in config.devices
        if each.battery is not None
    )


def _row(played: "Played", *, none: "Played", perfect: "Played") -> dict[str, Any]:
    possible = none.cost_mct - perfect.cost_mct
    saved = none.cost_mct - played.cost_mct
    return {
        "policy": played.policy.value,
        "cost_eur": round(played.cost_mct / 100_000, 4),
        "percent_of_perfect": round(100 * saved / possible, 1) if possible > 1 else None,
        "cycles": round(played.cycles, 3),
        "self_sufficiency_percent": round(100 * played.self_sufficiency, 1),
        "peak_w": round(played.peak_w),
    }


def _power(config: "SiteConfig", played: "Played") -> dict[str, Any]:
    """Return what the highest power of the months played costs, where the site's tariff charges for it."""
    tariff = config.trading.priced_by
    if tariff is None or tariff.peak is None:
        return {}
    from domain.tariff.days import holidays_of
    from domain.tariff.peak import peak_cost

    taken_wh = {quarter.start: round(max(0.0, quarter.grid_wh)) for quarter in played.quarters}
    costs = peak_cost(tariff, taken_wh, is_holiday=holidays_of(tariff))
    return {"power_cost": round(float(sum(costs.values())), 2), "currency": tariff.currency}
