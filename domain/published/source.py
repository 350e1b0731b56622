"""Where a zone's published load, wind and sun come from, as the registry says it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from domain.provider import ProviderSource


class PublishedProvider(StrEnum):
    """Who publishes; with ``none`` a price is forecast from past prices alone."""

    NONE = "none"
    ENERGY_CHARTS = "energy-charts"
    ENTSOE = "entsoe"
    FILE = "file"


URLS: Final[Mapping[str, str]] = {
    PublishedProvider.ENERGY_CHARTS: "https://api.energy-charts.info",
    PublishedProvider.ENTSOE: "https://web-api.tp.entsoe.eu",
}
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    PublishedProvider.NONE: (),
    PublishedProvider.ENERGY_CHARTS: ("area",),
    PublishedProvider.ENTSOE: ("area", "token_env"),
    PublishedProvider.FILE: ("file",),
}


class PublishedSource(ProviderSource):
    """A provider and what it must be told.

    ``area`` is a country (Energy-Charts: ``de``) or an EIC code (ENTSO-E); ``token_env`` names the environment variable
    that holds the token; ``url`` replaces the provider's address; ``file`` is read where the provider is a file.
    """

    URLS = URLS
    NEEDS = _NEEDS

    provider: PublishedProvider = PublishedProvider.NONE
