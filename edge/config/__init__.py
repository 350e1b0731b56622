"""What a person writes about one site, read once and checked once. Other rooms import it from here."""

from edge.config.commands import CommandsSection, TrustedIssuer
from edge.config.control import ControlSection, ForeignWrites, GridLimitsSection, Idle
from edge.config.devices import BatterySection, DeviceRole, DeviceSection, PlaneSection, ProxySection, TargetSection
from edge.config.loads import GoalSection, JobSection, LoadSection, Rest
from edge.config.place import ConnectionSection, SiteSection
from edge.config.prices import PricesSection
from edge.config.reading import load_config, sentence
from edge.config.relays import Pull, RelayBounds, RelayKind, RelaySection
from edge.config.showing import PageSection, TelemetrySection
from edge.config.site_config import SiteConfig
from edge.config.trading import SpotTariffSection, TradingSection
from edge.config.weather import WeatherSection

__all__ = [
    "BatterySection",
    "CommandsSection",
    "ConnectionSection",
    "ControlSection",
    "DeviceRole",
    "DeviceSection",
    "ForeignWrites",
    "GoalSection",
    "GridLimitsSection",
    "Idle",
    "JobSection",
    "LoadSection",
    "PageSection",
    "PlaneSection",
    "PricesSection",
    "ProxySection",
    "Pull",
    "RelayBounds",
    "RelayKind",
    "RelaySection",
    "Rest",
    "SiteConfig",
    "SiteSection",
    "SpotTariffSection",
    "TargetSection",
    "TelemetrySection",
    "TradingSection",
    "TrustedIssuer",
    "WeatherSection",
    "load_config",
    "sentence",
]
