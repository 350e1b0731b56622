"""The reader on anything: a series with a value, or one sentence; never a traceback, never a zero from nothing."""

import os
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import read

# `make nightly ARGS=series` sets it to a hundred thousand, with the seed of its report.
CASES = int(os.environ.get("SITEWATT_FUZZ_CASES", "250"))

_cells = st.one_of(
    st.sampled_from(
        [
            *("", "NA", "unavailable", "1,5", "1.234", "1.234,5", "1 000", "-0", "inf", "1e400", '"', "=1", "Total"),
            *("0.3%", "3 €", "€ 5", "12 ct", "5 kvarh", "3 m³", "2 mW", "1 GW", "45292", "0,0416667"),
        ]
    ),
    st.floats(-1e6, 1e6).map(lambda value: f"{value:.3f}"),
    st.integers(-(10**20), 10**20).map(str),
    st.text(max_size=12),
)
_START = datetime(2025, 10, 25, tzinfo=UTC)
_styles = st.sampled_from(
    [
        "%Y-%m-%dT%H:%M:%SZ",
        "%d.%m.%Y %H:%M",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %I:%M %p",
        "%Y-%m-%d %H:%M:%S",
        "%s",
        "%y-%m-%d",
        "day number",
    ]
)
_heads = st.sampled_from(["load kW", "[kvarh]", "gas_m3", "price ct/kWh", "EUR/MWh", "[%]", "MWh/h", "kWh/m²"])
_SHEET = datetime(1899, 12, 30, tzinfo=UTC)
_times = st.one_of(
    st.tuples(st.integers(-200, 200), st.sampled_from([60, 900, 3600, 86_400])).map(
        lambda drawn: _START + timedelta(seconds=drawn[0] * drawn[1])
    ),
    st.datetimes(timezones=st.just(UTC)),
)
_options = st.builds(
    Options,
    timezone=st.sampled_from(["", "", "Europe/Berlin", "Australia/Lord_Howe", "Nowhere"]),
    unit=st.sampled_from(["", "", "kWh", "W", "ct/kWh", "x"]),
    measures=st.sampled_from(["", "", "power", "energy", "counter", "price"]),
    decimal=st.sampled_from(["", "", "comma", "point"]),
    dates=st.sampled_from(["", "", "day-first", "month-first"]),
    wanted=st.sampled_from(["load", "pv", "price"]),
)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Return a file that is almost a series."""
    separator, style = draw(st.sampled_from(",;\t|")), draw(_styles)
    step_s = draw(st.sampled_from([60, 900, 1800, 3600, 86_400]))
    rows = [
        (_START + timedelta(seconds=index * step_s), f"{draw(st.floats(-10, 10)):.2f}")
        for index in range(draw(st.integers(0, 40)))
    ]
    for _ in range(draw(st.integers(0, 4))):
        rows.insert(draw(st.integers(0, len(rows))), (draw(_times), draw(_cells)))
    lines = [draw(st.sampled_from(["time", "Zeit", "MTU (UTC)", "Horodate", ""])) + separator]
    lines[0] += draw(st.one_of(_cells, _heads))
    lines += [f"{_written(at, style)}{separator}{cell}" for at, cell in rows]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-16", "cp1252"])), errors="replace")


def _written(at: datetime, style: str) -> str:
    if style == "day number":
        return f"{(at - _SHEET) / timedelta(days=1):.7f}"
    return str(int(at.timestamp())) if style == "%s" else at.strftime(style)


def _holds(data: bytes, options: Options) -> None:
    try:
        reading = read(data, options)
    except SeriesError as error:
        event("refused")
        assert str(error) and "\n" not in str(error)
        return
    event("read")
    assert np.isfinite(reading.series.values).any() and reading.understood
    assert not np.isinf(reading.series.values).any()


@settings(max_examples=CASES, deadline=None)
@given(data=tables(), options=_options)
def test_what_is_almost_a_series_is_read_or_refused(data: bytes, options: Options) -> None:
    """Every shape that a person's file may have by accident."""
    _holds(data, options)


@st.composite
def days(draw: st.DrawFn) -> bytes:
    """Return a file that almost has a row a day and a column an hour or a quarter."""
    width = draw(st.sampled_from([23, 24, 25, 48, 96, 100]))
    name = draw(st.sampled_from(["H{}", "{}", "{}:00", "Q{} [kWh]", "v{}x9"]))
    lines = [",".join([draw(st.sampled_from(["Date", "Tag", ""])), *(name.format(place) for place in range(width))])]
    for number in range(draw(st.integers(0, 6))):
        day = _START + timedelta(days=draw(st.sampled_from([number, number, number, 0])))
        cells = [f"{place % 7}.{number}" for place in range(draw(st.sampled_from([width, width, width - 1, 3])))]
        odd: str | None = draw(st.one_of(st.none(), _cells))
        if odd is not None:
            cells[draw(st.integers(0, len(cells) - 1))] = odd.replace(",", "")
        lines.append(",".join([day.strftime("%Y-%m-%d"), *cells]))
    return "\n".join(lines).encode()


@settings(max_examples=CASES // 4, deadline=None)
@given(data=days(), options=_options)
def test_what_is_almost_a_row_a_day_is_read_or_refused(data: bytes, options: Options) -> None:
    """Its cells become rows, and may be anything."""
    _holds(data, options)


@settings(max_examples=CASES, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(str.encode),
        st.text(alphabet='0123456789.,;:-/T "\n', max_size=200).map(lambda text: ("time,kW\n" + text).encode()),
        st.text(alphabet='{}[]":,0123456789astartend ', max_size=200).map(lambda text: ("{" + text).encode()),
        st.text(alphabet="0123456789,E\n", max_size=300).map(
            lambda text: ("100,NEM12,1\n200,1,E1,1,E1,,1,KWH,30,\n300," + text).encode()
        ),
    )
)
def test_anything_else_is_refused_in_a_sentence(data: bytes) -> None:
    """What is no file of values at all."""
    _holds(data, Options())


_ENDS = [
    "5e-324",
    "1e-300",
    "1e300",
    "1.7976931348623157e308",
    "-1e308",
    "1e15",
    "-1e15",
    "1e16",
    "1e154",
    "-0",
    "1e-16",
]


@settings(max_examples=CASES // 4, deadline=None)
@given(
    head=st.sampled_from(["load_w", "kWh", "price EUR/MWh", "counter kWh"]),
    count=st.sampled_from([2, 24, 96, 200]),
    ends=st.dictionaries(st.integers(0, 199), st.sampled_from(_ENDS), min_size=1, max_size=60),
    wanted=st.sampled_from(["load", "pv", "price"]),
)
def test_numbers_at_the_ends_of_a_float_are_refused_or_borne(
    head: str, count: int, ends: dict[int, str], wanted: str
) -> None:
    """Quotients, squares and sums of what a file may hold overflowed in what judges its values."""
    cells = [ends.get(index, f"{200 + index % 24}") for index in range(count)]
    rows = [f"{(_START + timedelta(minutes=15 * index)).isoformat()},{cell}" for index, cell in enumerate(cells)]
    _holds("\n".join([f"time,{head}", *rows]).encode(), Options(wanted=wanted))
