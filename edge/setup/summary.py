"""What a set-up has found and been told, in a few lines, before it is written."""

from collections.abc import Iterator

from contracts.market import SiteAgent
from edge.config import DeviceSection, SiteConfig

_PHASES = 3


def summary(config: SiteConfig) -> Iterator[str]:
    """Yield the lines that an installer reads before saying yes."""
    site, connection = config.site, config.connection
    yield f"{site.id}{_standing(config)}{_place(config)}"
    fuse = connection.phase_limit_w
    yield (
        f"  connection: meter {connection.meter}, import up to {_kw(connection.import_limit_w)}, "
        f"export up to {_kw(connection.export_limit_w)}{f', {_kw(fuse)} a phase' if fuse else ''}"
    )
    for device in config.devices:
        yield f"  {device.id}: {device.role.value}, {device.profile} at {device.url}{_ratings(device)}"
    if any(device.battery for device in config.devices):
        yield f"  batteries while nobody asks: {config.control.idle.value.replace('_', ' ')}"
    if site.agent is not SiteAgent.MONITOR:
        yield f"  {_money(config)}"
    yield f"  {_orders(config)}"
    yield (
        "  no broker" if config.link is None else f"  broker {config.link.url}{', in a fleet' if config.fleet else ''}"
    )
    yield f"  {_page(config)}"


def _standing(config: SiteConfig) -> str:
    """Say what a site is to a market, or that it is by itself, and whether it steers its devices."""
    site = config.site
    if config.link is not None:
        return f" in {site.zone}, a {site.agent.value}"
    return f", a site by itself, {'only reads' if site.agent is SiteAgent.MONITOR else 'steers its devices'}"


def _place(config: SiteConfig) -> str:
    site = config.site
    told = [] if site.latitude_deg is None else [f"at {site.latitude_deg:g}, {site.longitude_deg:g}"]
    told += [f"by the clock of {site.time_zone}"] if site.time_zone else []
    told += [f"with the holidays of {site.holidays}"] if site.holidays else []
    return "".join(f", {one}" for one in told)


def _ratings(device: DeviceSection) -> str:
    told = [f"{_kw(device.pv_peak_w)} of generation"] if device.pv_peak_w else []
    told += [f"{_kw(one.peak_w)} at {one.tilt_deg:g}° to {one.azimuth_deg:g}°" for one in device.pv_planes]
    if device.battery is not None:
        battery = device.battery
        told.append(
            f"{battery.capacity_wh / 1000:g} kWh, charges with {_kw(battery.charge_limit_w)}, "
            f"discharges with {_kw(battery.discharge_limit_w)}"
        )
    if device.load is not None:
        told.append(f"draws {_kw(device.load.rated_w)}, {device.load.rest.value} while nobody asks")
    if device.phases and len(device.phases) < _PHASES:
        told.append(f"on phase {' and '.join(map(str, device.phases))}")
    return f", {', '.join(told)}" if told else ""


def _money(config: SiteConfig) -> str:
    trading = config.trading
    trades = "trades on a market" if trading.enabled else "trades on no market"
    name = trading.tariff if isinstance(trading.tariff, str) else None
    return f"{trades}, {f'tariff {name}' if name else 'no tariff named'}"


def _orders(config: SiteConfig) -> str:
    issuers = sorted({f"{one.issuer} ({one.role.value})" for one in config.commands.trusted})
    limits = config.grid_limits
    failsafe = None if limits is None else limits.failsafe_import_w
    silent = "" if failsafe is None else f"; import {_kw(failsafe)} while the grid operator is silent"
    return f"obeys {', '.join(issuers) or 'nobody'}{silent}"


def _page(config: SiteConfig) -> str:
    page = config.page
    if page is None:
        return "no page"
    acting = "" if page.tls_port is None else f", acting over TLS on port {page.tls_port}"
    return f"page on {page.host}:{page.port}{acting}"


def _kw(power_w: int) -> str:
    return f"{power_w / 1000:g} kW"
