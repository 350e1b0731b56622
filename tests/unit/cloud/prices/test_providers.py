"""Prices from providers on a real socket: the documented request, and every usual fault of theirs."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.errors import ProviderError, SetupError
from cloud.outbound import ATTEMPTS_MAX, ask
from cloud.prices.providers import HttpPrices, provider_of
from domain.prices.source import PriceSource, Provider
from domain.question import Question
from tests.support.cloud import price_answers as answers
from tests.support.cloud.providers import Answer, provider

START = datetime(2026, 3, 18, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = answers.energy_charts(START, [50.0] * 96)


def _asking(slept: list[float]) -> HttpPrices:
    def patient(question: Question) -> bytes:
        return ask(question, sleep=slept.append, jitter=lambda: 1.0)

    return HttpPrices(source=PriceSource(provider=Provider.MARKET), asking=patient)


def _prices(
    url: str, kind: Provider = Provider.ENERGY_CHARTS, *, slept: list[float] | None = None
) -> dict[datetime, int]:
    source = PriceSource(
        provider=kind,
        area="DE-LU",
        product="AGILE",
        currency="GBP" if kind is Provider.OCTOPUS else "EUR",
        token_env="TOKEN",
        url=url,
    )
    slept = [] if slept is None else slept
    asked = HttpPrices(source=source, token="hidden-token", asking=_asking(slept).asking)
    return dict(asked.prices(first=START, last=START + DAY))


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (Provider.ENERGY_CHARTS, GOOD, "/price?bzn=DE-LU"),
        (Provider.AWATTAR, answers.awattar(START, [50.0] * 24), "/v1/marketdata?start=1773792000000"),
        (Provider.TIBBER, answers.tibber(START, [0.05] * 96), "/v1-beta/gql"),
        (Provider.OCTOPUS, answers.octopus(START, [5.0] * 48), "/v1/products/AGILE/electricity-tariffs/DE-LU/"),
        (Provider.ENTSOE, answers.entsoe(answers.entsoe_series(START, {1: 50.0}, count=96)), "/api?securityToken="),
    ],
)
def test_each_provider_is_asked_as_it_documents(kind: Provider, body: bytes, path: str) -> None:
    """A day of quarters comes out of each."""
    with provider([Answer(body=body)]) as server:
        assert _prices(server.url, kind) == {START + number * timedelta(minutes=15): 5000 for number in range(96)}
        assert server.asked[0].startswith(path)
        if kind is Provider.TIBBER:
            assert server.headers[0]["Authorization"] == "Bearer hidden-token"


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(status=503),
        Answer(status=429, headers={"Retry-After": "3"}),
        Answer(body=GOOD, cut_to=99),
    ],
)
def test_a_passing_fault_is_asked_again_after_a_pause(fault: Answer) -> None:
    """Most faults of a provider last for seconds."""
    slept: list[float] = []
    with provider([fault, Answer(body=GOOD)]) as server:
        assert len(_prices(server.url, slept=slept)) == 96
        assert len(server.asked) == 2
        assert slept == [3.0 if fault.status == 429 else 1.0]


def test_a_lasting_fault_is_given_up_and_named() -> None:
    """The tick goes on with what is kept."""
    slept: list[float] = []
    with provider([Answer(status=500)]) as server:
        with pytest.raises(ProviderError, match=r"127\.0\.0\.1 answers 500; 3 attempts"):
            _prices(server.url, slept=slept)
        assert len(server.asked) == ATTEMPTS_MAX
        assert slept == [1.0, 2.0]


def test_a_long_wait_is_left_to_a_later_tick() -> None:
    """A function that sleeps is paid for."""
    with provider([Answer(status=429, headers={"Retry-After": "600"})]) as server:
        with pytest.raises(ProviderError) as caught:
            _prices(server.url)
        assert caught.value.retry_after_s == 600
        assert len(server.asked) == 1


def test_a_refusal_is_not_asked_again_and_no_token_is_told() -> None:
    """A wrong token stays wrong, and a log is read by many."""
    with provider([Answer(status=401, body=b"hidden-token")]) as server:
        with pytest.raises(ProviderError, match="401") as caught:
            _prices(server.url, Provider.ENTSOE)
        assert "hidden-token" not in str(caught.value)
        assert len(server.asked) == 1
    with pytest.raises(ProviderError) as silent:
        _prices(server.url, Provider.ENTSOE)
    assert "hidden-token" not in str(silent.value)


def test_a_token_that_is_not_set_is_named() -> None:
    """Its absence would look like a refusal of the provider."""
    source = PriceSource(provider=Provider.ENTSOE, area="10Y1001A1001A82H", token_env="ENTSOE_TOKEN")
    with pytest.raises(SetupError, match="ENTSOE_TOKEN"):
        provider_of(source, environ=lambda _: None)
    with pytest.raises(ValueError, match="needs area"):
        PriceSource(provider=Provider.ENERGY_CHARTS)
