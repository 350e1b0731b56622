"""The live view of a neighbourhood in the terminal, whole at 80 columns and 24 lines.

Where there is less room than all of it takes, frames and the columns that matter least go first, then sites and
intervals; the transformer and the newest news stay.
"""

from datetime import datetime, timedelta

from rich.box import HEAVY_HEAD
from rich.console import ConsoleDimensions, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.grid import FeederState
from contracts.market import MarketBroadcast
from contracts.units import UCT_PER_CENT
from sitewatt.demo.neighbourhood import Neighbourhood, Site
from sitewatt.demo.page_state import coalesced
from sitewatt.demo.watch import NeighbourhoodView, SiteView

INTERVALS_SHOWN = 6
WIDE = ConsoleDimensions(width=120, height=40)  # From here on everything has its frame.
NEWS_LINES_MIN = 5
_AHEAD = timedelta(minutes=20)  # The market trades a day ahead; what matters here is now.
_BAR_CELLS = 30


def render(
    view: NeighbourhoodView,
    neighbourhood: Neighbourhood,
    *,
    now: datetime,
    speed: float,
    url: str | None = None,
    room: ConsoleDimensions = WIDE,
) -> Group:
    """Return the whole view at one instant, within the lines and columns that there are."""
    headline = _headline(view, neighbourhood, now=now, speed=speed, url=url)
    if room.width >= WIDE.width and room.height >= WIDE.height + max(0, len(neighbourhood.sites) - 5):
        return Group(
            headline,
            _sites(view, neighbourhood, shown=len(neighbourhood.sites), is_compact=False),
            Panel(_feeder(view, neighbourhood), title="transformer"),
            _market(view, now=now, shown=INTERVALS_SHOWN, is_compact=False),
            Panel(Text("\n".join(_news(view, lines=len(view.news))) or "nothing yet"), title="news (UTC)"),
        )
    # Two lines of headline, one of the transformer, the heads of two tables, a line for the cursor.
    left = room.height - 6
    intervals = min(3, max(1, left - NEWS_LINES_MIN - 3))
    sites = max(1, min(len(neighbourhood.sites), left - NEWS_LINES_MIN - intervals))
    return Group(
        headline,
        _feeder(view, neighbourhood),
        _sites(view, neighbourhood, shown=sites, is_compact=True),
        _market(view, now=now, shown=intervals, is_compact=True),
        *(
            Text(line, no_wrap=True, overflow="ellipsis")
            for line in _news(view, lines=max(1, left - sites - intervals - (sites < len(neighbourhood.sites))))
        ),
    )


def _headline(
    view: NeighbourhoodView, neighbourhood: Neighbourhood, *, now: datetime, speed: float, url: str | None
) -> Text:
    broker = "broker connected" if view.connected else "broker lost, reconnecting"
    local = now.astimezone(neighbourhood.timezone)
    first = f"sitewatt  {local:%a %H:%M:%S} local ({now:%H:%M} UTC)  x{speed:g}  {broker}, {view.messages} messages"
    second = f"{len(neighbourhood.sites)} sites, {neighbourhood.week} week  (Ctrl-C ends)"
    return Text(f"{first}\n{second}" + ("" if url is None else f"  {url}"), "bold", no_wrap=True, overflow="ellipsis")


def _sites(view: NeighbourhoodView, neighbourhood: Neighbourhood, *, shown: int, is_compact: bool) -> Table:
    """Return a row for each of the first sites, and how many more there are."""
    table = Table(expand=True, pad_edge=False, box=None if is_compact else HEAVY_HEAD)
    headings = [one for one in _SITE_COLUMNS if not (is_compact and one in _LEAST_WANTED)]
    for heading in headings[:-1]:
        table.add_column(heading, justify="right" if heading in _SITE_FIGURES else "left", no_wrap=True)
    table.add_column(headings[-1], no_wrap=True, ratio=1)  # Its end may go, no figure's.
    for site in neighbourhood.sites[:shown]:
        row = dict(zip(_SITE_COLUMNS, _site_row(site, view.sites.get(site.id, SiteView())), strict=True))
        table.add_row(*(row[heading] for heading in headings))
    if (more := len(neighbourhood.sites) - shown) > 0:
        table.add_row(f"and {more} more")
    return table


_SITE_WORDS = ("site", "agent", "link")
_SITE_FIGURES = ("connection kW", "PV kW", "battery kW", "charge %", "orders", "traded kWh")
_SITE_COLUMNS = (*_SITE_WORDS, *_SITE_FIGURES, "command")
_LEAST_WANTED = frozenset({"agent", "orders", "traded kWh"})


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


def _feeder(view: NeighbourhoodView, neighbourhood: Neighbourhood) -> Text:
    feeder = view.sites.get(neighbourhood.feeder.id, SiteView())
    power_w = feeder.values.get("meter/active_power_w")
    limit_w = neighbourhood.feeder.limit_w
    state = view.grid.state if view.grid else FeederState.NORMAL
    if power_w is None:
        return Text("transformer: no measurement yet")
    cells = min(_BAR_CELLS, round(abs(power_w) / limit_w * _BAR_CELLS))
    style = "green" if state is FeederState.NORMAL else "yellow" if state is FeederState.RELEASING else "red"
    bar = Text("█" * cells + "░" * (_BAR_CELLS - cells), style=style)
    words = f"  {_direction(power_w, 'import', 'export')} of {limit_w / 1000:.0f} kW   {state}"
    if view.grid and view.grid.event_id:
        words += f"   event {view.grid.event_id}"
    if view.grid:
        words += "".join(f"   {disturbance.value.replace('_', ' ')}" for disturbance in view.grid.disturbances)
    line = bar + Text(words)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _market(view: NeighbourhoodView, *, now: datetime, shown: int, is_compact: bool) -> Table:
    table = Table(expand=True, pad_edge=False, box=None if is_compact else HEAVY_HEAD)
    table.add_column("delivery interval")
    table.add_column("state")
    for heading in ("price ct/kWh", "volume kWh", "trades"):
        table.add_column(heading, justify="right")
    near = sorted(start for start in view.intervals if start <= now + _AHEAD)
    for start in near[-shown:]:
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


def _news(view: NeighbourhoodView, *, lines: int) -> list[str]:
    """Return the newest news, a repetition in a row told once with how often."""
    told = coalesced(view.news)[-lines:]
    return [f"{at:%H:%M:%S} UTC {text}" + (f" ({times} times)" if times > 1 else "") for at, text, times in told]


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
