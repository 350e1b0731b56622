"""What set-up asks about the site after its devices: place, tariff, idle batteries, orders, failsafe, page."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import tariffs
from contracts.market import SiteAgent
from domain.calendar.holidays import Holidays, NoSuchCalendar, split
from edge.config import Idle
from edge.control.keys import Role
from edge.public_key import check_public_key
from edge.setup.amounts import amount, complaint
from edge.setup.console import Console

PAGE_PORT, PAGE_TLS_PORT = 8080, 8443
# One that opens the page to the network of the house, reading for everybody in it, acting for who signs in.
PAGE_OF_HOUSE: dict[str, Any] = {"host": "0.0.0.0", "port": PAGE_PORT, "tls_port": PAGE_TLS_PORT}


def ask_place(console: Console, site: dict[str, Any]) -> None:
    """Ask where the site is, for the forecast of its generation and of its days of rest."""
    if "latitude_deg" not in site and (text := console.ask("Place, as 48.14, 11.58 (empty: none)", check=_no_place)):
        site |= place(text) or {}
    if "holidays" not in site and (
        code := console.ask("Its public holidays, as DE or DE-BY (empty: none)", check=_no_calendar)
    ):
        site["holidays"] = code


def place(text: str) -> dict[str, float] | None:
    """Return latitude and longitude in degrees of a text like ``48.14, 11.58``; ``None`` where it is none."""
    parts = text.replace(";", ",").split(",")
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        return None
    fits = -90 <= latitude <= 90 and -180 <= longitude <= 180
    return {"latitude_deg": latitude, "longitude_deg": longitude} if fits else None


def ask_time_zone(console: Console, site: dict[str, Any]) -> None:
    """Ask by which clock the site's days go: of targets and goals, where no tariff tells one."""
    if "time_zone" not in site and (
        name := console.ask("Time zone (empty: UTC)", default=machine_zone(), check=_no_zone)
    ):
        site["time_zone"] = name


def machine_zone(localtime: Path = Path("/etc/localtime")) -> str:
    """Return the machine's time zone by the file that its clock is set by; empty where that names none."""
    name = str(localtime.resolve()).rpartition("/zoneinfo/")[2]
    return name if _no_zone(name) is None else ""


def ask_trading(console: Console, trading: dict[str, Any], *, agent: str) -> None:
    """Ask whether the site trades, and what energy costs otherwise."""
    if agent == SiteAgent.MONITOR.value:
        return
    if "enabled" not in trading and not console.confirm("Does it trade on a market", default=True):
        trading["enabled"] = False
    if "tariff" not in trading and "spot" not in trading:
        console.say(f"Ready tariffs: {', '.join(tariffs.names())}")
        if name := console.ask("Its tariff (empty: none)", check=_no_tariff):
            trading["tariff"] = name


def ask_idle(console: Console, control: dict[str, Any]) -> None:
    """Ask what batteries do while nobody asks anything of them."""
    if "idle" not in control:
        options = [one.value for one in Idle]
        control["idle"] = console.choose("Batteries that nobody asks anything of", options, default=options[0])


def ask_grid(console: Console, grid_limits: dict[str, Any], commands: dict[str, Any]) -> None:
    """Ask whose orders the site obeys, and what it may draw while its grid operator is silent (section 14a EnWG)."""
    if "trusted" not in commands and (
        key := console.ask("Public key whose orders it obeys (empty: none)", check=_no_key)
    ):
        issuer = console.ask("Name of who has that key", default="grid-operator", check=_no_name)
        role = console.choose("What that is to the site", [one.value for one in Role], default=Role.GRID_OPERATOR.value)
        commands["trusted"] = [{"issuer": issuer, "role": role, "public_key": key}]
    trusted = commands.get("trusted", [])
    has_operator = any(one["role"] == Role.GRID_OPERATOR.value for one in trusted)
    if has_operator and "failsafe_import_w" not in grid_limits:
        question = "Import while the grid operator is silent in W, section 14a (empty: no such contract)"
        if text := console.ask(question, check=lambda text: complaint(text, unit="W", low=0) if text else None):
            grid_limits["failsafe_import_w"] = amount(text, unit="W")


def ask_page(console: Console, page: dict[str, Any]) -> None:
    """Ask whether browsers of the house may see the site."""
    if page:
        return
    console.say("A page shows the site: reading asks for no password, acting does (sitewatt edge page password).")
    if console.confirm("Show it to the network of the house", default=False):
        page |= PAGE_OF_HOUSE


def _no_place(text: str) -> str | None:
    return None if not text or place(text) else "latitude and longitude in degrees, as 48.14, 11.58"


def _no_zone(text: str) -> str | None:
    try:
        if text:
            ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return "a time zone as Europe/Berlin"
    return None


def _no_calendar(text: str) -> str | None:
    country, subdivision = split(text)
    try:
        Holidays(country=country, subdivision=subdivision)
    except NoSuchCalendar as error:
        return str(error)
    return None


def _no_tariff(text: str) -> str | None:
    return None if not text or text in tariffs.names() else f"there is no tariff {text!r}; those above are ready"


def _no_key(text: str) -> str | None:
    try:
        if text:
            check_public_key(text)
    except ValueError as error:
        return f"it {error}"
    return None


def _no_name(text: str) -> str | None:
    legal = text.isascii() and text.replace("-", "").isalnum() and len(text) <= 64
    return None if legal else "letters, digits and dashes"
