"""Every number, text and list of every message has a bound, and what is beyond it is refused, never raised."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bounds_table import MESSAGES as MODELS
from contracts.bounds_table import bounds, table
from contracts.control import AckStage, CommandAck, Refusal
from contracts.market import SettlementLine
from contracts.metering import MeterReading
from contracts.telemetry import SERIES_MAX, Series, TelemetryMessage, samples_of
from contracts.units import MEASURED_MAX, WHOLE_MAX, ClockTrust, Quality, measured, printable
from contracts.wire import DEPTH_MAX, Message, SiteMessage, UnknownVersion, WireError, read_json
from tests.unit.contracts.test_wire import MESSAGES

# Values that stopped a store, a market or a gateway, one of each kind.
HOSTILE: list[Any] = [
    10**35,
    10**400,
    -(10**35),
    2**63,
    1e200,
    5e-324,
    float("nan"),
    float("inf"),
    "\ud800",
    "\x1b[2J",
    "a\x00b",
    "x" * 20_000,
    "9" * 5_000,
    None,
    True,
    [],
    {},
    [[[[]]]],
    {"\ud800": 1},
]


def _subclasses(model: type[Message]) -> set[type[Message]]:
    return {model} | {inner for child in model.__subclasses__() for inner in _subclasses(child)}


def test_no_field_of_any_message_is_without_a_bound() -> None:
    """A number without a bound passes JSON, the ledger and the store, and stops the market for ever."""
    free = [f"{model.__name__}.{one.path}" for model in MODELS for one in bounds(model) if one.bound is None]
    assert free == []
    known = {model for model in _subclasses(Message) if model.__module__.startswith("contracts.")}
    assert known - {Message, SiteMessage} == set(MODELS)


def test_whole_numbers_stay_exact_in_every_json_reader() -> None:
    """A browser has whole numbers exact up to 2^53 - 1 only; money alone may be longer, and is a text then."""
    line = SettlementLine(metered_wh=1, traded_wh=1, imbalance_wh=0, trades_uct=10**20, imbalance_uct=-7)
    plain = json.loads(line.model_dump_json())
    assert plain["trades_uct"] == "100000000000000000000"
    assert plain["imbalance_uct"] == -7
    assert SettlementLine.model_validate(plain) == line
    with pytest.raises(ValueError, match="less than or equal"):
        MeterReading.model_validate({"epoch": WHOLE_MAX + 1})


def test_page_of_bounds_is_what_the_models_say() -> None:
    """The page is for those who write another gateway: it must not lag behind."""
    page = Path(__file__).parents[3] / "docs" / "wire-bounds.md"
    assert page.read_text() == table()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_hostile_value_in_any_place_is_read_whole_or_refused(message: Message) -> None:
    """One value must never raise anything but the border's own refusal, and what is read can be said again."""
    plain = json.loads(Message.encode(message))
    refused = 0
    for path in _places(plain)[1:]:
        for value in HOSTILE:
            payload = json.dumps(_with(plain, path, value)).encode()
            try:
                read = type(message).decode(payload)
            except WireError as error:
                str(error).encode()
                assert "\x1b" not in str(error)
                refused += 1
                continue
            assert type(message).decode(read.encode()) == read
            read.model_dump_json().encode()
    assert refused > 50


@given(st.integers(min_value=1, max_value=60_000), st.sampled_from(["[", '{"a":', '[{"b":[']))
def test_depth_is_bounded_before_anything_is_parsed(depth: int, opening: str) -> None:
    """Nested text ended a whole cloud: the broker delivered it again at each start."""
    levels = depth * sum(opening.count(mark) for mark in "[{")
    payload = (opening * depth).encode()
    with pytest.raises(WireError, match="nested|bytes" if levels > DEPTH_MAX else "not JSON"):
        read_json(payload)


def test_brackets_in_texts_are_no_depth_and_half_characters_are_refused() -> None:
    """A text may hold what it likes as long as it is text."""
    assert read_json(json.dumps({"a": '[[[[\\"[[[[' * 20})) == {"a": '[[[[\\"[[[[' * 20}
    assert read_json('{"a": "\\ud83d\\ude00 \\\\ud800"}') == {"a": "\U0001f600 \\ud800"}
    for bad in ('{"a": "\\ud800"}', '{"\\udc00": 1}', b"\xed\xa0\x80", '{"a": NaN}', '{"a": 1e999}', "9" * 41):
        with pytest.raises(WireError):
            read_json(bad)


def test_version_of_many_digits_is_an_unknown_version() -> None:
    """The complaint itself must stay printable and short."""
    with pytest.raises(UnknownVersion, match="version"):
        MeterReading.decode(json.dumps({"v": "\x1b[31m" * 900}).encode())


def test_words_of_a_newer_gateway_are_read_as_unknown() -> None:
    """A gateway is upgraded before its cloud: its acks and readings must still arrive."""
    ack = next(one for one in MESSAGES if isinstance(one, CommandAck))
    told = {**json.loads(ack.encode()), "stage": "hesitating", "reason": "moon_phase"}
    read = CommandAck.decode(json.dumps(told).encode())
    assert (read.stage, read.reason) == (AckStage.UNKNOWN, Refusal.UNKNOWN)
    reading = next(one for one in MESSAGES if isinstance(one, MeterReading))
    newer = {**json.loads(reading.encode()), "quality": "dreamt", "clock": "guessed"}
    meter = MeterReading.decode(json.dumps(newer).encode())
    assert (meter.quality, meter.clock) == (Quality.UNKNOWN, ClockTrust.UNTRUSTED)
    telemetry = next(one for one in MESSAGES if isinstance(one, TelemetryMessage))
    column = Series(p="meter/power_w", at=(0,), x=(1.0,), q="z")
    samples = list(samples_of(telemetry.model_copy(update={"series": (column,)})))
    assert [sample.quality for sample in samples] == [Quality.UNKNOWN]


def test_message_of_too_many_points_is_refused() -> None:
    """12,000 points fit SQLite and no item of DynamoDB."""
    telemetry = next(one for one in MESSAGES if isinstance(one, TelemetryMessage))
    column = {"p": "d/x_w", "at": [0], "x": [1], "q": "g"}
    plain = {**telemetry.model_dump(mode="json"), "series": [column] * (SERIES_MAX + 1)}
    with pytest.raises(WireError, match="series"):
        TelemetryMessage.decode(json.dumps(plain).encode())


@given(st.text(max_size=300), st.integers(min_value=4, max_value=200))
def test_printable_text_is_bounded_and_has_no_control_character(text: str, width: int) -> None:
    """What a device calls itself reaches a terminal."""
    safe = printable(text, width)
    assert len(safe) <= width
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in safe)


@given(st.floats())
def test_measured_value_always_fits_the_wire(value: float) -> None:
    """A device may say anything; the message that tells it must still be made."""
    usable = measured(value)
    assert usable is None or abs(usable) <= MEASURED_MAX
    Series(p="d/x_w", at=(0,), x=(usable,), q="g")
