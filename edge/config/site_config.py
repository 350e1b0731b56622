"""The configuration of one site as a whole, and whether its sections fit one another."""

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from contracts.market import SiteAgent
from edge.config.commands import CommandsSection
from edge.config.control import ControlSection, GridLimitsSection
from edge.config.devices import DeviceRole, DeviceSection, ProxySection
from edge.config.place import ConnectionSection, SiteSection
from edge.config.relays import RelaySection
from edge.config.section import Section
from edge.config.showing import PageSection, TelemetrySection
from edge.config.trading import TradingSection
from edge.fleet.settings import FleetSettings, with_fleet_paths
from edge.links.settings import LinkSettings
from edge.ocpp.settings import OcppSettings, StationSettings
from edge.plain.settings import HomeAssistantSettings, InfluxSettings, PlainSettings


class SiteConfig(Section):
    """Everything that a gateway is told.

    Without ``link`` the site speaks to no broker: it is controlled, shown and planned as any other, and trades nowhere.
    """

    site: SiteSection
    connection: ConnectionSection
    devices: tuple[DeviceSection, ...] = Field(min_length=1)
    link: LinkSettings | None = None
    state_dir: Path
    profile_dir: Path | None = None
    control: ControlSection = ControlSection()
    commands: CommandsSection = CommandsSection()
    telemetry: TelemetrySection = TelemetrySection()
    trading: TradingSection = TradingSection()
    proxy: tuple[ProxySection, ...] = ()
    grid_limits: GridLimitsSection | None = None
    relays: tuple[RelaySection, ...] = Field(default=(), max_length=16)
    fleet: FleetSettings | None = None
    page: PageSection | None = None
    ocpp: OcppSettings | None = None
    plain_mqtt: PlainSettings | None = None
    home_assistant: HomeAssistantSettings | None = None
    influx: InfluxSettings | None = None

    @property
    def plans(self) -> bool:
        """Return whether there is anything to plan: by a market, by a tariff that was told, or loads with a goal."""
        return self.trading.plans or any(each.load is not None and each.load.is_planned for each in self.devices)

    @property
    def on_modbus(self) -> tuple[DeviceSection, ...]:
        """Return the devices that have a register map and an address: all but charging stations that call us."""
        return tuple(device for device in self.devices if device.ocpp is None)

    @property
    def stations(self) -> tuple[DeviceSection, ...]:
        """Return the connectors of charging stations that speak OCPP."""
        return tuple(device for device in self.devices if device.ocpp is not None)

    @property
    def export_w_max(self) -> int:
        """Return the most that may be fed in: the connection's limit, or the cap that the tariff's contract sets."""
        tariff = self.trading.priced_by
        peak_w = sum(device.pv_peak_w for device in self.devices)
        cap = None if tariff is None else tariff.feed_in_cap
        cap_w = None if cap is None else cap.limit_w(peak_w)
        limit_w = self.connection.export_limit_w
        return limit_w if cap_w is None else min(limit_w, cap_w)

    @model_validator(mode="before")
    @classmethod
    def _fleet_gives_the_link_its_certificate(cls, raw: Any) -> Any:
        return with_fleet_paths(raw)

    @model_validator(mode="before")
    @classmethod
    def _trades_over_its_link(cls, raw: Any) -> Any:
        """Have a site without a broker trade nowhere, unless its file says that it trades: that is refused below."""
        if not isinstance(raw, dict) or raw.get("link") is not None:
            return raw
        trading = raw.get("trading") or {}
        return {**raw, "trading": {"enabled": False, **trading}} if isinstance(trading, dict) else raw

    @model_validator(mode="after")
    def _link_is_there(self) -> "SiteConfig":
        if self.link is None and self.trading.enabled:
            raise ValueError("trading.enabled is true, and there is no link: orders would reach no market")
        if self.link is None and self.fleet is not None:
            raise ValueError("there is a fleet and no link: name the fleet's broker under link")
        return self

    @model_validator(mode="after")
    def _devices_fit(self) -> "SiteConfig":
        ids = [device.id for device in self.devices]
        if len(ids) != len(set(ids)):
            raise ValueError(f"devices: two devices share an id among {', '.join(ids)}")
        roles = {device.id: device.role for device in self.devices}
        if roles.get(self.connection.meter) is not DeviceRole.METER:
            raise ValueError(f"connection.meter is {self.connection.meter!r}, which is no device with the role meter")
        for proxy in self.proxy:
            if proxy.device not in roles:
                raise ValueError(f"proxy.device is {proxy.device!r}, which is none of {', '.join(ids)}")
            if proxy.writable and self.site.agent is SiteAgent.MONITOR:
                raise ValueError(
                    f"proxy.writable of {proxy.device} is true, and the agent is monitor: it writes nothing"
                )
        for relay in self.relays:
            if relay.device not in roles and not relay.on_board:
                raise ValueError(f"relays: device {relay.device!r} is none of {', '.join(ids)}, nor a GPIO chip")
        return self

    @model_validator(mode="after")
    def _stations_fit(self) -> "SiteConfig":
        known = {device.id: device.ocpp for device in self.devices if device.ocpp is not None}
        if known and self.ocpp is None:
            raise ValueError(
                f"{next(iter(known))} has a section ocpp, and the site has none: it says where stations call"
            )
        if known and self.site.agent is SiteAgent.MONITOR:
            raise ValueError(f"{next(iter(known))} has a section ocpp, and the agent is monitor: it steers no station")
        for other in (*(proxy.device for proxy in self.proxy), *(relay.device for relay in self.relays)):
            if other in known:
                raise ValueError(
                    f"{other} speaks OCPP: it can neither be shared (proxy) nor be read as a contact (relays)"
                )
        seen: dict[str, StationSettings] = {}
        for name, station in known.items():
            first = seen.setdefault(station.station, station)
            if (first.password_file, first.version) != (station.password_file, station.version):
                raise ValueError(
                    f"{name}: station {station.station} has two password_files or versions; it has one of each"
                )
        if len({(one.station, one.connector) for one in known.values()}) < len(known):
            raise ValueError("two devices are the same connector of one station")
        return self
