"""Publishers of load, wind and sun on a real socket: the documented request, and what is missing of an answer."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.errors import ProviderError, SetupError
from cloud.outbound import ask
from cloud.published.providers import HttpPublisher, publisher_of
from domain.published.power import Quantity
from domain.published.source import PublishedProvider, PublishedSource
from domain.question import Question
from tests.support.cloud import price_answers as answers
from tests.support.cloud.providers import Answer, provider

START = datetime(2026, 3, 18, tzinfo=UTC)
DAY = timedelta(days=1)


def _ask(question: Question) -> bytes:
    return ask(question, sleep=lambda _: None, jitter=lambda: 1.0)


def _publisher(url: str, kind: PublishedProvider = PublishedProvider.ENERGY_CHARTS) -> HttpPublisher:
    source = PublishedSource(provider=kind, area="de", token_env="TOKEN", url=url)
    return HttpPublisher(source=source, token="hidden-token", asking=_ask)


def test_energy_charts_is_asked_for_each_type_and_a_missing_coast_is_no_fault() -> None:
    """A country without wind at sea answers 404 there."""
    told = [
        Answer(body=answers.charts_power(START, [50_000.0] * 96)),
        Answer(body=answers.charts_power(START, [8_000.0] * 96, production_type="solar")),
        Answer(body=answers.charts_power(START, [4_000.0] * 96, production_type="wind_onshore")),
        Answer(status=404),
    ]
    with provider(told) as server:
        powers = _publisher(server.url).powers(first=START, last=START + DAY)
        assert powers[Quantity.LOAD][START] == 50_000.0
        assert powers[Quantity.WIND_AND_SUN][START] == 12_000.0
        assert [path.split("production_type=")[1].split("&")[0] for path in server.asked] == [
            "load",
            "solar",
            "wind_onshore",
            "wind_offshore",
        ]
        assert server.asked[0].startswith("/public_power_forecast?country=de")
        assert "forecast_type=day-ahead" in server.asked[0]


def test_entsoe_is_asked_for_both_documents_and_one_that_is_missing_leaves_the_other() -> None:
    """Load is published hours before wind and sun."""
    load = answers.entsoe_power(START, {"": {1: 50_000.0}})
    with provider([Answer(body=load), Answer(body=answers.ENTSOE_NOTHING)]) as server:
        powers = _publisher(server.url, PublishedProvider.ENTSOE).powers(first=START, last=START + DAY)
        assert len(powers[Quantity.LOAD]) == 96
        assert Quantity.WIND_AND_SUN not in powers
        assert "documentType=A65&processType=A01&outBiddingZone_Domain=de" in server.asked[0]
        assert "documentType=A69&processType=A01&in_Domain=de" in server.asked[1]


def test_nothing_at_all_is_a_fault_that_tells_no_token() -> None:
    """A log is read by many."""
    with provider([Answer(status=401, body=b"hidden-token")]) as server:
        with pytest.raises(ProviderError, match="401") as caught:
            _publisher(server.url, PublishedProvider.ENTSOE).powers(first=START, last=START + DAY)
        assert "hidden-token" not in str(caught.value)


def test_a_source_that_cannot_be_asked_is_named() -> None:
    """Where nobody is named nobody is asked."""
    assert publisher_of(PublishedSource(), environ=lambda _: None) is None
    source = PublishedSource(provider=PublishedProvider.ENTSOE, area="10Y1001A1001A82H", token_env="ENTSOE_TOKEN")
    with pytest.raises(SetupError, match="ENTSOE_TOKEN"):
        publisher_of(source, environ=lambda _: None)
    with pytest.raises(ValueError, match="needs area"):
        PublishedSource(provider=PublishedProvider.ENERGY_CHARTS)
