"""The live view of a neighbourhood in the terminal."""

from datetime import datetime, timedelta

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.grid import FeederState
from contracts.market import MarketBroadcast
from contracts.units import UCT_PER_CENT
from sitewatt.demo.neighbourhood import Neighbourhood, Site
from sitewatt.demo.watch import NeighbourhoodView, SiteView

INTERVALS_SHOWN = 6
_AHEAD = timedelta(minutes=20)  # The market trades a day ahead; what matters here is now.
_BAR_CELLS = 30


def render(
    view: NeighbourhoodView, neighbourhood: Neighbourhood, *, now: datetime, speed: float, url: str | None = None
) -> Group:
    """Return the whole view at one instant."""
    return Group(
        _headline(view, neighbourhood, now=now, speed=speed, url=url),
        _sites(view, neighbourhood),
        _feeder(view, neighbourhood),
        _market(view, now=now),
        _news(view),
    )


def _headline(
    view: NeighbourhoodView, neighbourhood: Neighbourhood, *, now: datetime, speed: float, url: str | None
) -> Text:
    broker = "broker connected" if view.connected else "broker lost, reconnecting"
    local = now.astimezone(neighbourhood.timezone)
    return Text(
        f"sitewatt  {local:%a %H:%M:%S}  x{speed:g}  {len(neighbourhood.sites)} sites, {neighbourhood.week} week  "
        f"{broker}, {view.messages} messages  (Ctrl-C ends)" + ("" if url is None else f"  {url}"),
        style="bold",
    )


def _sites(view: NeighbourhoodView, neighbourhood: Neighbourhood) -> Table:
    table = Table(expand=True, pad_edge=False)
    for heading in ("site", "agent", "link"):
        table.add_column(heading)
    for heading in ("connection kW", "PV kW", "battery kW", "charge %", "orders", "traded kWh"):
        table.add_column(heading, justify="right")
    table.add_column("command")
    for site in neighbourhood.sites:
        table.add_row(*_site_row(site, view.sites.get(site.id, SiteView())))
    return table


def _site_row(site: Site, seen: SiteView) -> list[str]:
    return [
        site.id,
        site.agent,
        "online" if seen.online else "offline",
        _direction(seen.values.get("meter/active_power_w"), "import", "export"),
        _kilo(seen.values.get("inverter/pv_power_w"), turned=True) if site.pv_peak_w else "",
        _direction(seen.values.get("inverter/battery_power_w"), "charge", "give") if site.battery else "",
        _number(seen.values.get("inverter/soc_pct")) if site.battery else "",
        str(seen.orders),
        f"{seen.traded_wh / 1000:.1f}",
        seen.command,
    ]


def _feeder(view: NeighbourhoodView, neighbourhood: Neighbourhood) -> Panel:
    feeder = view.sites.get(neighbourhood.feeder.id, SiteView())
    power_w = feeder.values.get("meter/active_power_w")
    limit_w = neighbourhood.feeder.limit_w
    state = view.grid.state if view.grid else FeederState.NORMAL
    if power_w is None:
        return Panel("no measurement yet", title="transformer")
    cells = min(_BAR_CELLS, round(abs(power_w) / limit_w * _BAR_CELLS))
    style = "green" if state is FeederState.NORMAL else "yellow" if state is FeederState.RELEASING else "red"
    bar = Text("█" * cells + "░" * (_BAR_CELLS - cells), style=style)
    words = f"  {_direction(power_w, 'import', 'export')} of {limit_w / 1000:.0f} kW   {state}"
    if view.grid and view.grid.event_id:
        words += f"   event {view.grid.event_id}"
    if view.grid:
        words += "".join(f"   {disturbance.value.replace('_', ' ')}" for disturbance in view.grid.disturbances)
    return Panel(bar + Text(words), title="transformer")


def _market(view: NeighbourhoodView, *, now: datetime) -> Table:
    table = Table(expand=True, pad_edge=False)
    table.add_column("delivery interval")
    table.add_column("state")
    for heading in ("price ct/kWh", "volume kWh", "trades"):
        table.add_column(heading, justify="right")
    near = sorted(start for start in view.intervals if start <= now + _AHEAD)
    for start in near[-INTERVALS_SHOWN:]:
        table.add_row(*_interval_row(view.intervals[start]))
    return table


def _interval_row(interval: MarketBroadcast) -> list[str]:
    price = interval.price_mct_per_kwh
    return [
        f"{interval.interval_start:%H:%M} UTC",
        interval.state,
        "" if price is None else f"{price / 1000:.3f}",
        f"{interval.volume_wh / 1000:.2f}",
        str(interval.trades),
    ]


def _news(view: NeighbourhoodView) -> Panel:
    return Panel("\n".join(f"{at:%H:%M:%S} {sentence}" for at, sentence in view.news) or "nothing yet", title="news")


def money(uct: int) -> str:
    """Return an amount for people, in cents with two decimals."""
    return f"{uct / UCT_PER_CENT:.2f} ct"


def _direction(power_w: float | None, positive: str, negative: str) -> str:
    if power_w is None:
        return "-"
    return f"{positive if power_w >= 0 else negative} {abs(power_w) / 1000:.1f}"


def _kilo(power_w: float | None, *, turned: bool) -> str:
    return "-" if power_w is None else f"{(-power_w if turned else power_w) / 1000:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
