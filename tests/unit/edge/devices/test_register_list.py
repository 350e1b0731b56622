"""A vendor's register list becomes a profile: as printed, all faults at once, nothing believed that is a guess."""

import pytest

from edge.devices.catalogue import known_names, parse_profile
from edge.devices.draft import Heading, profile_text
from edge.devices.names import canonical_name
from edge.devices.offline import decode_registers, encode_value, parse_registers
from edge.devices.points import Kind, Sign
from edge.devices.profile import Profile
from edge.devices.profile_check import faults
from edge.devices.recipes import Direction, Lever
from edge.devices.register_list import Numbering, read_list
from edge.errors import ConfigError

HEAD = "Signal Name;Register;Data Type;Gain;Unit;R/W;Min;Max;Lever;Silence\n"
LIST = (
    "\ufeff" + HEAD + "Phase A voltage;30001;U16;10;V;RO;;;;\n"
    "Active power;30010;S32 LE;1000;kW;RO;;;;\n"
    "Total yield;30012;U32;100;kWh;RO;;;;\n"
    "Serial number;40020;STR;1;;RO;;;;\n"
)


def profile_of(text: str, *, kinds: tuple[Kind, ...] = (Kind.INVERTER,), **more: Numbering) -> Profile:
    """Return the profile that a list gives."""
    heading = Heading(id="mine", vendor="V", models=("M",), kinds=kinds, sources=("list 1.0",))
    return parse_profile("mine", profile_text(heading, read_list(text, kinds=kinds, **more)))


def test_a_list_as_vendors_print_it_reads_as_it_says() -> None:
    """Types, gains, kilowatts, word order and 3xxxx addresses are taken as they stand."""
    text = LIST.replace("STR;1;;RO", "STR;1;;RO").replace("Unit;R/W", "Unit;R/W;Length").replace("RO;", "RO;;")
    text = text.replace("STR;1;;RO;;", "STR;1;;RO;2;")
    profile = profile_of(text, numbering=Numbering.MODICON)
    image = parse_registers(
        '{"input": {"0": 2304, "9": 64536, "10": 65535, "11": 0, "12": 12}, "holding": {"19": 16706, "20": 17152}}'
    )
    values = {one.canonical: one.value for one in decode_registers(profile, image).values()}
    assert values == {"voltage_l1_v": 230.4, "active_power_w": -1000, "energy_yield_wh": 120, "serial_number": "ABC"}
    assert profile.points["active_power"].sign is Sign.UNCONFIRMED
    assert faults(profile, known=known_names()) == ()


def test_every_line_that_is_not_understood_is_named_with_what_was_expected() -> None:
    """Whoever typed a list corrects it once."""
    rows = HEAD + "a;x1;U16;1;V;RO;;;;\nb;2;U17;1;V;RO;;;;\nc;3;U16;0;V;RO;;;;\nd;4;U16;1;W;RW;;;;\ne;5;STR;1;;RO;;;;\n"
    rows += "a2;70000;U16;1;V;RO;;;;\nf;7;U16;1;W;RO;;;limit_generation;\ng;8;U16;1;W;RW;0;9;limit_sun;\n"
    with pytest.raises(ConfigError) as caught:
        read_list(rows, kinds=(Kind.INVERTER,))
    said = str(caught.value)
    for number, part in enumerate(
        (
            "address 'x1' is no number",
            "type 'U17' is none of uint16",
            "scale '0' is no number",
            "needs min and max",
            "a string needs a count",
            "is 70000 on the wire",
            "needs access rw",
            "lever 'limit_sun' is none of limit_generation",
        ),
        start=2,
    ):
        assert f"line {number}: " in said and part in said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "holds no line"),
        ("what;where\n", "the heading has no column name, address, type"),
        (HEAD, "a heading and no register"),
        (HEAD + "a;1;U16;1;V;RO;;;;\na;2;U16;1;V;RO;;;;\n", "line 3: the name 'a' stands twice"),
    ],
)
def test_a_list_that_is_none_is_refused_with_a_sentence(rows: str, said: str) -> None:
    """An empty export is not a device without registers."""
    with pytest.raises(ConfigError, match=said):
        read_list(rows, kinds=(Kind.METER,))


def test_registers_that_move_a_lever_become_its_recipe() -> None:
    """Enable, value and timer of a lever are written together, and given back together."""
    rows = HEAD + (
        "Limit on;1;U16;1;;RW;0;1;limit_generation enable;\n"
        "Limit;2;U16;10;%;RW;0;100;limit_generation;\n"
        "Limit time;3;U16;1;s;RW;0;3600;limit_generation timer;\n"
        "Charge power;4;I16;1;W;RW;-5000;5000;battery_power;60\n"
        "State of charge;5;U16;1;%;RO;;;;\n"
    )
    profile = profile_of(rows, kinds=(Kind.INVERTER, Kind.BATTERY))
    (limit,) = profile.capabilities[Lever.LIMIT_GENERATION]
    assert limit.fallback.armed_by == "limit_time"
    assert limit.restore[0].write == {"limit_on": 0}
    (battery,) = profile.capabilities[Lever.BATTERY_POWER]
    assert (battery.fallback.direction, battery.fallback.after_s, battery.refresh_s) == (
        Direction.SELF_CONSUMPTION,
        60,
        20,
    )
    (write,) = encode_value(profile, "limit", 55.5)
    assert (write.address, write.words) == (2, (555,))


@pytest.mark.parametrize(
    ("name", "unit", "kind", "canonical"),
    [
        ("Total system power", "W", Kind.METER, "active_power_w"),
        ("L2 current", "A", Kind.METER, "current_l2_a"),
        ("Phase C active power", "W", Kind.METER, "active_power_l3_w"),
        ("U12", "V", Kind.METER, "voltage_l1_l2_v"),
        ("Reverse active energy", "Wh", Kind.METER, "energy_export_wh"),
        ("Forward active energy L1", "Wh", Kind.METER, "energy_import_l1_wh"),
        ("Battery SOC", "%", Kind.BATTERY, "soc_pct"),
        ("Battery power", "W", Kind.INVERTER, "battery_power_w"),
        ("PV1 voltage", "V", Kind.INVERTER, "dc1_voltage_v"),
        ("Grid power", "W", Kind.INVERTER, "grid_power_w"),
        ("Charging state", "", Kind.CHARGER, "ev_state"),
        ("Cabinet temperature", "°C", Kind.INVERTER, "cabinet_temperature_c"),
    ],
)
def test_a_vendors_name_is_guessed(name: str, unit: str, kind: Kind, canonical: str) -> None:
    """Most lists name the same things with the same words."""
    assert canonical_name(name, unit=unit, kinds=(kind,)) == canonical
