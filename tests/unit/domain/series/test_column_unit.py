"""What a column is in: other quantities are named and refused, odd units among its cells too."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import read
from domain.series.units import other_unit_in, unit_in

STARTS = [datetime(2025, 10, 15, tzinfo=UTC) + timedelta(hours=hour) for hour in range(240)]


def file(header: str, cell: str = "{}", *, odd: str = "") -> bytes:
    """Return a file whose cells are written so, but for one."""
    rows = [f'{at.isoformat()},"{cell.format(1 + at.hour % 5)}"' for at in STARTS]
    if odd:
        rows[100] = f'{STARTS[100].isoformat()},"{odd}"'
    return "\n".join([f"time,{header}", *rows]).encode()


OTHERS = {
    "Zähler [kvarh]": ("kvarh", "reactive energy"),
    "Q (kvar)": ("kvar", "reactive power"),
    "Scheinleistung kVA": ("kVA", "apparent power"),
    "Gas [m³]": ("m³", "a volume"),
    "Gas (m3)": ("m3", "a volume"),
    "gas_m3": ("m3", "a volume"),
    "Wärme GJ": ("GJ", "energy in another unit than Wh"),
    "usage (therms)": ("therms", "energy in another unit than Wh"),
    "temp °C": ("°C", "a temperature"),
    "Strom [A]": ("A", "a current"),
    "Spannung [V]": ("V", "a voltage"),
    "Frequenz [Hz]": ("Hz", "a frequency"),
    "soc_percent": ("percent", "a share"),
    "Ladung [%]": ("%", "a share"),
    "GHI [W/m²]": ("W/m²", "an irradiance"),
    "irradiation kWh/m2": ("kWh/m2", "an irradiance"),
    "yield kWh/kWp": ("kWh/kWp", "a yield"),
    "load [mW]": ("mW", "a thousandth of a W"),
}


@pytest.mark.parametrize(("header", "expected"), OTHERS.items())
def test_a_column_of_something_else_is_refused_by_name(header: str, expected: tuple[str, str]) -> None:
    """A forecast of kvarh was made as of a load whose unit is unknown; irradiance was a power."""
    unit, quantity = expected
    for options in (Options(wanted="load"), Options(column=header, wanted="price")):
        with pytest.raises(SeriesError) as error:
            read(file(header), options)
        assert f"column {header!r} is in {unit} ({quantity})" in str(error.value)
        assert "neither a power nor an energy in Wh nor a price" in str(error.value)
    assert read(file(header), Options(unit="kWh", measures="energy")).unit == "kW"


@pytest.mark.parametrize("header", OTHERS)
def test_a_column_of_something_else_is_not_chosen(header: str) -> None:
    """Beside an energy the reactive one may stand first."""
    rows = [f"{at.isoformat()},7,{1 + at.hour % 5}" for at in STARTS]
    data = "\n".join([f"time,{header},Wirkarbeit [kWh]", *rows]).encode()
    assert read(data, Options(wanted="load")).column == "Wirkarbeit [kWh]"
    with pytest.raises(SeriesError, match=r"name another column \(Wirkarbeit \[kWh\]\)"):
        read(data, Options(column=header))


@pytest.mark.parametrize(
    "header",
    [
        "Load kW (phase A)", "m3", "Leistung kW inkl. 5 % Verlust", "Price EUR/kWh incl. 20% VAT", "load_kw", "GW",
        "Last MVA-Trafo 1 kW", "110 kV Netz kW", "therm. Leistung kW", "HZ Verbrauch kWh", "öre/kWh", "MWh/h", "total",
        "Load (L)", "kWh/15 min",
    ],
)  # fmt: skip
def test_letters_that_are_no_units_do_not_stand_in_the_way(header: str) -> None:
    """A phase, a third meter, losses and a grid's voltage are no units of the column."""
    assert unit_in(header) is not None or other_unit_in(header) is None
    assert read(file(header), Options()).series.values[1] > 0


@pytest.mark.parametrize("unit", ["kvarh", "m³", "kVA", "%", "°C", "A"])
def test_a_unit_behind_all_numbers_is_told_as_one_in_the_header(unit: str) -> None:
    """It was "line 2: '1 kvarh' is no number", and of a percentage no word."""
    with pytest.raises(SeriesError, match=rf"column 'Load' is in {unit} \("):
        read(file("Load", f"{{}} {unit}"), Options(wanted="load", column="Load"))


@pytest.mark.parametrize("cell", ["0.3%", "3 A", "0.3 kVA", "0.3 kvar", "3 m³"])
def test_one_cell_of_something_else_is_left_out_and_named(cell: str) -> None:
    """0.3 % of something was 0.3 kW."""
    found = read(file("Load kW", odd=cell), Options())
    assert f"line 102, {cell!r} is no number" in found.understood and "1 gap" in found.understood


@pytest.mark.parametrize(
    ("header", "cell", "words"),
    [
        ("Load kW", "0.3 GW", "a value in GW in a column of kW"),
        ("Load kW", "300 mW", "a value in mW, a thousandth of a W"),
        ("Load kW", "0.3 €", "a value in € in a column of kW"),
        ("Load kWh", "12 ct", "a value in ct in a column of kWh"),
        ("Price EUR/kWh", "30 ct", "a value in ct in a column of EUR/kWh"),
        ("Price ct/kWh", "€0.30", "a value in € in a column of ct/kWh"),
        ("Price ct/kWh", "0.30 EUR", "a value in EUR in a column of ct/kWh"),
        ("Price SEK/kWh", "$0.30", "a value in $ in a column of SEK/kWh"),
    ],
)
def test_one_cell_in_another_unit_is_refused(header: str, cell: str, words: str) -> None:
    """Thirty cents among euros were thirty euros."""
    with pytest.raises(SeriesError) as error:
        read(file(header, odd=cell), Options())
    assert f"line 102: {words}" in str(error.value)


@pytest.mark.parametrize(
    ("header", "cell"),
    [("Price EUR/kWh", "{} €"), ("Price EUR/kWh", "€{}"), ("Price ct/kWh", "{} ct"), ("Pris SEK/kWh", "{} kr")],
)
def test_the_sign_of_the_columns_own_money_is_no_oddity(header: str, cell: str) -> None:
    """Spreadsheets write it beside each amount."""
    assert read(file(header, cell), Options(wanted="price")).series.values[1] == 2.0


@pytest.mark.parametrize("header", ["Wärme", "Wärmepumpe", "Öl w", "WÄRME"])
def test_a_letter_of_a_word_is_no_unit(header: str) -> None:
    """The W before an ä was a watt."""
    assert (unit_in(header) is None) == (header != "Öl w")


def test_a_volume_in_green_button_is_no_energy() -> None:
    """Every unit but W was read as Wh, gas in m³ too."""
    readings = "".join(
        f"<IntervalReading><timePeriod><duration>3600</duration><start>{int(at.timestamp())}</start></timePeriod>"
        f"<value>{at.hour}</value></IntervalReading>"
        for at in STARTS
    )
    text = "<feed><ReadingType><uom>{}</uom></ReadingType><IntervalBlock>{}</IntervalBlock></feed>"
    with pytest.raises(SeriesError, match=r"'delivered m³' is in m³ \(a volume\)"):
        read(text.format(42, readings).encode(), Options())
    assert read(text.format(72, readings).encode(), Options()).unit == "W"
