"""Who takes part: zones, feeders and sites, with the abilities that the market and the grid agent count on."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cloud.errors import SetupError
from cloud.grid.described import feeder_of, limits_of
from cloud.grid.network import ImpossibleNetwork, Powers
from cloud.market.flags import Flag, unknown_flags
from cloud.market.rules import MarketRules
from cloud.stores import keys
from cloud.stores.network_record import NetworkRecord
from cloud.stores.tables import Put, Tables
from contracts.market import SiteAgent
from contracts.reasons import reason_of
from contracts.skills.joining import JoinState
from contracts.spelling import first_fault
from contracts.units import SiteId, ZoneId
from domain.calendar.holidays import Holidays, split
from domain.calendar.zone_place import place_of_zone
from domain.prices.source import PriceSource
from domain.published.source import PublishedSource
from domain.weather.source import WeatherSource
from domain.yaml_text import load_yaml

log = logging.getLogger(__name__)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatteryRecord(_Record):
    """A site's batteries together; powers are magnitudes in W.

    ``inverter_w_max`` is what a hybrid's battery and sun can give together; ``None`` where each has an inverter.
    """

    capacity_wh: int = Field(gt=0)
    charge_w_max: int = Field(ge=0)
    discharge_w_max: int = Field(ge=0)
    inverter_w_max: int | None = Field(default=None, gt=0)
    soc_percent_min: float = Field(default=10.0, ge=0, le=100)
    soc_percent_max: float = Field(default=95.0, ge=0, le=100)


class PlaneRecord(_Record):
    """One plane of a site's PV: tilt from horizontal, azimuth clockwise from north."""

    tilt_deg: float = Field(ge=0, le=90)
    azimuth_deg: float = Field(ge=0, le=360)
    peak_w: int = Field(gt=0)


class ReliefPrices(_Record):
    """What a site asks for a kWh that its battery, load or sun is moved by; who asks less is asked first."""

    battery_mct_per_kwh: int = Field(default=5_000, ge=0, le=1_000_000)
    load_mct_per_kwh: int = Field(default=60_000, ge=0, le=1_000_000)
    pv_mct_per_kwh: int = Field(default=12_000, ge=0, le=1_000_000)


class SiteRecord(_Record):
    """One site: limits at its connection point (magnitudes in W) and what stands behind it.

    ``area`` is where it is connected, in a market whose rules have links. ``meter`` is the device that measures the
    connection point. ``load_class`` (household, factory, flat) and
    ``typical_load_w`` are what the load is forecast from before it has been measured. ``order_by`` says how relief is
    asked of a site with a battery: by the battery's power, or by a limit that the site holds at its own meter.
    ``relief_prices`` are its offers to the grid agent, which takes the cheapest that relieve the feeder; what is
    delivered is paid at the feeder's price all the same. ``node`` is where it is connected in its feeder's network; a
    site without one counts among what the feeder carries beside the known sites.
    """

    id: SiteId
    zone: ZoneId
    agent: SiteAgent
    owner: str = ""
    feeder: SiteId | None = None
    node: int | None = Field(default=None, ge=0)
    area: str = Field(default="", max_length=63)
    import_limit_w: int = Field(ge=0)
    export_limit_w: int = Field(ge=0)
    battery: BatteryRecord | None = None
    pv_peak_w: int = Field(default=0, ge=0)
    pv_planes: tuple[PlaneRecord, ...] = Field(default=(), max_length=16)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    sheddable_load_w: int = Field(default=0, ge=0)
    pv_curtailable: bool = False
    flexible: bool = True
    order_by: Literal["battery_power", "connection_limit"] = "battery_power"
    relief_prices: ReliefPrices = ReliefPrices()
    load_class: str = "flat"
    typical_load_w: int = Field(default=0, ge=0)
    meter: str = "meter"
    credit_limit_uct: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _planes_sum_up(self) -> "SiteRecord":
        total_w = sum(plane.peak_w for plane in self.pv_planes)
        if self.pv_planes and total_w != self.pv_peak_w:
            raise ValueError(f"{self.id} has planes of {total_w} W together, pv_peak_w is {self.pv_peak_w}")
        return self

    def latitude_in(self, zone: "ZoneRecord") -> float:
        """Return the site's latitude, that of its zone where none is told."""
        return zone.latitude if self.latitude is None else self.latitude

    def longitude_in(self, zone: "ZoneRecord") -> float:
        """Return the site's longitude, that of its zone where none is told."""
        return zone.longitude if self.longitude is None else self.longitude

    @property
    def party(self) -> str:
        """Return who owns the site; a site without an owner owns itself."""
        return self.owner or self.id


class FeederRecord(_Record):
    """A line that several sites share; ``id`` is the gateway that reads its transformer's meter.

    Limits are magnitudes in W. ``settings`` overrides the grid agent's defaults by name. Sites are paid
    ``dr_price_mct_per_kwh`` for what they deliver in an event up to what was ordered, and owe the penalty for what is
    missing; with a price of 0 events are no business of the market. ``sites_complete: true`` says that every
    connection of the line is a registered site, so that their readings must sum to its own meter's; ``false``, that the
    sum says nothing. Where nobody says, what the line carries beside its sites is learned from the days before. With
    its ``network`` relief holds the voltages and loadings within it too; without one, its meter's limits alone.
    """

    id: SiteId
    zone: ZoneId
    import_limit_w: int = Field(gt=0)
    export_limit_w: int = Field(gt=0)
    meter: str = "meter"
    dr_price_mct_per_kwh: int = Field(default=0, ge=0)
    dr_penalty_mct_per_kwh: int = Field(default=0, ge=0)
    sites_complete: bool | None = None
    settings: dict[str, int | float] = Field(default_factory=dict)
    network: NetworkRecord | None = None


class HolidaysOf(_Record):
    """Whose holidays count, by ISO 3166 codes, and local days beside them."""

    country: str = Field(default="", max_length=2)
    subdivision: str = Field(default="", max_length=6)
    days: tuple[date, ...] = ()


class ZoneRecord(_Record):
    """A price area; ``market`` overrides the market's default rules by name.

    The place is for the sun and the weather: where it is not told, that of the time zone's city, else 50 N 10 E.

    ``timezone`` is its IANA time zone, by which its days and hours are told; without it they lie ``utc_offset_s`` from
    UTC the whole year, which ``warning`` tells and each baseline from like days is flagged for. ``holidays`` are like
    weekends: a country and its part (``DE-BY``), local days, or both as
    ``{country: DE, subdivision: BY, days: [2026-06-01]}``. ``prices`` says who publishes the zone's price; by
    default it is the market's own. ``load_wind_sun`` says who publishes the load, wind and sun that a price is forecast
    from, and ``weather`` who forecasts the weather.
    """

    id: ZoneId
    market: dict[str, Any] = Field(default_factory=dict)
    latitude: float = Field(default=50.0, ge=-90, le=90)
    longitude: float = Field(default=10.0, ge=-180, le=180)
    utc_offset_s: int = Field(default=0, ge=-50_400, le=50_400)
    timezone: str = ""
    holidays: tuple[date, ...] | HolidaysOf = ()
    prices: PriceSource = PriceSource()
    load_wind_sun: PublishedSource = PublishedSource()
    weather: WeatherSource = WeatherSource()

    @field_validator("holidays", mode="before")
    @classmethod
    def _by_code(cls, value: Any) -> Any:
        if isinstance(value, str):
            country, part = split(value)
            return {"country": country, "subdivision": part}
        return value

    @model_validator(mode="before")
    @classmethod
    def _by_city(cls, raw: Any) -> Any:
        """Fill the place in now, so that whoever reads the stored registry, older functions too, finds numbers."""
        zone = raw.get("timezone") if isinstance(raw, dict) else None
        place = place_of_zone(zone) if isinstance(zone, str) else None
        if place is None:
            return raw
        return {"latitude": round(place.latitude_deg, 4), "longitude": round(place.longitude_deg, 4), **raw}

    @model_validator(mode="after")
    def _known_calendar(self) -> "ZoneRecord":
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(f"timezone {self.timezone!r} is no IANA time zone, as Europe/Berlin is") from error
            if self.utc_offset_s:
                raise ValueError(f"timezone {self.timezone} and utc_offset_s {self.utc_offset_s} are both given")
        self.calendar  # noqa: B018 - a country without a calendar is found now
        return self

    @property
    def clock(self) -> tzinfo:
        """Return the clock on the wall."""
        return ZoneInfo(self.timezone) if self.timezone else timezone(timedelta(seconds=self.utc_offset_s))

    @property
    def warning(self) -> str | None:
        """Return what a person should add to the zone, and what happens until then."""
        if self.timezone:
            return None
        return (
            f"zone {self.id} names no timezone: its days are told at {self.utc_offset_s / 3600:+g} h from UTC through "
            "every clock change, and claims on its baselines are flagged fixed-clock and wait for a person; add "
            "timezone: Europe/Berlin, or whichever it is (timezone: UTC where no clock changes and days are told so)"
        )

    def offset_s(self, at: datetime) -> int:
        """Return by how much the wall is ahead of UTC at an instant."""
        offset = at.astimezone(self.clock).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())

    @property
    def calendar(self) -> Holidays:
        """Return the days that are like weekends."""
        rule = self.holidays
        if isinstance(rule, HolidaysOf):
            return Holidays(country=rule.country, subdivision=rule.subdivision, days=rule.days)
        return Holidays(days=rule)


class Registry(_Record):
    """Everyone who takes part."""

    zones: tuple[ZoneRecord, ...]
    feeders: tuple[FeederRecord, ...] = ()
    sites: tuple[SiteRecord, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Registry":
        zones = [zone.id for zone in self.zones]
        feeders = [feeder.id for feeder in self.feeders]
        sites = [site.id for site in self.sites]
        for kind, ids in (("zone", zones), ("feeder", feeders), ("site", [*sites, *feeders])):
            for one in ids:
                if ids.count(one) > 1:
                    raise ValueError(f"{kind} {one} is listed twice")
        for member, zone in [*((s.id, s.zone) for s in self.sites), *((f.id, f.zone) for f in self.feeders)]:
            if zone not in zones:
                raise ValueError(f"{member} lies in zone {zone}, which is not listed")
        for site in self.sites:
            if site.feeder is not None and site.feeder not in feeders:
                raise ValueError(f"{site.id} hangs on feeder {site.feeder}, which is not listed")
            if site.node is not None:
                self._check_node(site, site.node)
        return self

    def _check_node(self, site: SiteRecord, node: int) -> None:
        feeder = self.feeder(site.feeder) if site.feeder is not None else None
        if feeder is None or feeder.network is None:
            raise ValueError(f"{site.id} is at node {node}, and its feeder {site.feeder} has no network")
        if node not in feeder.network.node_ids():
            raise ValueError(f"{site.id} is at node {node}, which the network of {feeder.id} does not have")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know of the zones before they run."""
        return tuple(zone.warning for zone in self.zones if zone.warning is not None)

    def zone(self, zone: ZoneId) -> ZoneRecord | None:
        """Return a zone by its id."""
        return next((record for record in self.zones if record.id == zone), None)

    def site(self, site: SiteId) -> SiteRecord | None:
        """Return a site by its id."""
        return next((record for record in self.sites if record.id == site), None)

    def feeder(self, feeder: SiteId) -> FeederRecord | None:
        """Return a feeder by its id."""
        return next((record for record in self.feeders if record.id == feeder), None)

    def sites_in(self, zone: ZoneId) -> tuple[SiteRecord, ...]:
        """Return a zone's sites that trade."""
        return tuple(site for site in self.sites if site.zone == zone and site.agent is not SiteAgent.MONITOR)

    def sites_on(self, feeder: SiteId) -> tuple[SiteRecord, ...]:
        """Return the sites that share a feeder."""
        return tuple(site for site in self.sites if site.feeder == feeder)

    def members(self) -> tuple[SiteId, ...]:
        """Return every id under which a gateway sends."""
        return (*(site.id for site in self.sites), *(feeder.id for feeder in self.feeders))

    def zone_of(self, member: SiteId) -> ZoneId | None:
        """Return the zone of a site or a feeder."""
        found = self.site(member) or self.feeder(member)
        return found.zone if found else None


_JOINED: Final = (
    "zone", "owner", "feeder", "import_limit_w", "export_limit_w", "battery", "pv_peak_w", "typical_load_w"
)  # fmt: skip


def read_registry(raw: Any, *, where: str) -> Registry:
    """Check a registry.

    Raises:
        SetupError: It breaks the schema; the message names the key.
    """
    try:
        return Registry.model_validate(raw)
    except ValidationError as error:
        fault = first_fault(error, of=Registry, whole="registry")
        raise SetupError(f"{where} cannot be used: {fault}") from error


def check_markets(registry: Registry, *, where: str) -> None:
    """Refuse a registry of which a market could not begin, or a site would be in no area of its market.

    A registry in the store is opened without it: the rules of a market that runs are those of its journal.

    Raises:
        SetupError: The rules of a zone break their schema, or an area is none that its links join.
    """
    for zone in registry.zones:
        try:
            rules = MarketRules.model_validate({**zone.market, "zone": zone.id})
        except ValidationError as error:
            fault = first_fault(error, of=MarketRules, whole="market")
            raise SetupError(f"{where} cannot be used: market of zone {zone.id}: {fault}") from error
        if unknown := unknown_flags(rules.claims.pay_flags):
            words = f"claims.pay_flags: {unknown[0]!r} is none of {', '.join(Flag)}"
            raise SetupError(f"{where} cannot be used: market of zone {zone.id}: {words}")
        for site in registry.sites_in(zone.id):
            if rules.areas and site.area not in rules.areas:
                words = f"area {site.area!r} is none that the links of {zone.id} join: {', '.join(rules.areas)}"
                raise SetupError(f"{where} cannot be used: {site.id}: {words}")


def check_networks(registry: Registry, *, where: str) -> None:
    """Refuse a registry of which a network cannot be calculated, where the means to calculate are installed.

    Raises:
        SetupError: A network has no load flow without load; the sentence names the feeder.
    """
    for feeder in registry.feeders:
        if feeder.network is None:
            continue
        try:
            from cloud.grid.strain import CalculatedNetwork

            network = CalculatedNetwork(
                feeder_of(feeder.network), limits=limits_of(feeder.network), site_nodes={}, other_shares={}
            )
            network.state(Powers(sites={}))
        except ImportError:
            return
        except ImpossibleNetwork as error:
            raise SetupError(f"{where} cannot be used: network of {feeder.id}: {error}") from error


def load_registry_file(path: Path) -> Registry:
    """Read a registry from a YAML file: its own, or the settings of a local cloud, which hold one.

    Raises:
        SetupError: The file cannot be read, or breaks the schema.
    """
    try:
        raw = load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupError(f"registry {path} cannot be read: {reason_of(error)}") from error
    held = raw["registry"] if isinstance(raw, dict) and "registry" in raw else raw
    registry = read_registry(held, where=f"registry {path}")
    check_markets(registry, where=f"registry {path}")
    check_networks(registry, where=f"registry {path}")
    return registry


def load_registry(tables: Tables) -> Registry:
    """Read the registry that ``save_registry`` kept, with the sites that were let in since.

    Raises:
        SetupError: There is none.
    """
    item = tables.get(keys.REGISTRY)
    if item is None:
        raise SetupError("the store holds no registry; no function can tell who takes part")
    return with_joined(tables, read_registry(item.body, where="the store's registry"))


def with_joined(tables: Tables, registry: Registry) -> Registry:
    """Return a registry with the sites of other aggregators that a person has let in, and with changed programmes.

    A site whose id the registry holds by now is the registry's; one that no longer fits (its feeder is gone) is left
    out, for a market must not stop over a guest.
    """
    key = keys.join("", "")
    for item in tables.query(key.table, key.pk):
        request = item.body["request"]
        if item.body["state"] != JoinState.ACCEPTED or registry.zone_of(request["applicant"]) is not None:
            continue
        try:
            registry = with_sites(registry, [request])
        except SetupError as error:
            log.warning("site that joined is left out", extra={"site": request["applicant"], "error": str(error)})
    return _with_programmes(tables, registry)


def _with_programmes(tables: Tables, registry: Registry) -> Registry:
    """Return a registry whose feeders pay for relief what they were last set to pay."""
    key = keys.programme("")
    paid = {item.key.sk: item.body for item in tables.query(key.table, key.pk)}
    if not paid:
        return registry
    feeders = [
        feeder
        if (body := paid.get(feeder.id)) is None
        else feeder.model_copy(
            update={
                "dr_price_mct_per_kwh": body["price_mct_per_kwh"],
                "dr_penalty_mct_per_kwh": body["penalty_mct_per_kwh"],
            }
        )
        for feeder in registry.feeders
    ]
    return registry.model_copy(update={"feeders": tuple(feeders)})


def with_sites(registry: Registry, requests: Sequence[Mapping[str, Any]]) -> Registry:
    """Return a registry with further sites, each as ``contracts.skills.joining.JoinRequest`` tells it.

    Raises:
        SetupError: They cannot be registered so.
    """
    sites = [
        {"id": request["applicant"], "agent": request["kind"],
         **{name: request[name] for name in _JOINED if request[name] is not None}}
        for request in requests
    ]  # fmt: skip
    told = registry.model_dump(mode="json")
    return read_registry({**told, "sites": [*told["sites"], *sites]}, where="the registry with those who joined")


def save_registry(tables: Tables, registry: Registry) -> None:
    """Keep the registry in the store, for functions that have no file."""
    tables.put(Put(key=keys.REGISTRY, body=registry.model_dump(mode="json")))
