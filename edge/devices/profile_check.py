"""What makes a profile that loads wrong all the same: names, units, signs and widths that do not fit. Pure."""

import difflib
import re
from collections.abc import Collection, Iterator

from edge.control.model import LOAD_CAPABILITIES
from edge.devices.points import DerivedSpec, Kind, PointSpec, Sign
from edge.devices.profile import Profile
from edge.devices.quality import plausible_range
from edge.devices.recipes import Lever
from edge.devices.resolve import CONTROL_VALUES
from edge.modbus.encode import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS
from edge.modbus.pdu import READ_FUNCTION
from edge.modbus.point import Access, DataType, Table

UNIT_ENDS = {
    "W": "_w",
    "Wh": "_wh",
    "V": "_v",
    "A": "_a",
    "Ah": "_ah",
    "AH": "_ah",
    "Hz": "_hz",
    "%": "_pct",
    "°C": "_c",
    "var": "_var",
    "VA": "_va",
    "s": "_s",
    "ms": "_ms",
}
# Units that a scale turns into ours; a point gives the scale, and then our unit.
TO_SCALE = {
    "kW": "W",
    "MW": "W",
    "kWh": "Wh",
    "MWh": "Wh",
    "mA": "A",
    "mV": "V",
    "kvar": "var",
    "kVA": "VA",
    "min": "s",
}
# What flows both ways: its sign says where to.
TWO_WAY = re.compile(r"^(grid_|battery_)?(active_)?power(_l[123])?_w$")
UNSIGNED = frozenset({DataType.UINT16, DataType.UINT32, DataType.UINT64})
TWO_WAY_KINDS = frozenset({Kind.METER, Kind.BATTERY})
# What is known of the first phase, or string, may be told of the others.
_OTHERS = re.compile(r"(_l|^dc)[2-9](?=_|$)")
_LAST_ADDRESS = 0xFFFF
_WRITES = {
    Table.COIL: (WRITE_COIL, WRITE_COILS),
    Table.HOLDING: (WRITE_REGISTER, WRITE_REGISTERS),
    Table.DISCRETE: (),
    Table.INPUT: (),
}
FUNCTIONS = (*READ_FUNCTION.values(), *_WRITES[Table.COIL], *_WRITES[Table.HOLDING])
LIKELY_TYPO = 0.95  # Of a name beside a known one; names of a user's own are farther from ours.
_ENDS = (
    *UNIT_ENDS.values(),
    "_state",
    "_mode",
    "_bits",
    "_count",
    "_factor",
    "_model",
    "_number",
    "_version",
    "_enable",
)


def faults(profile: Profile, *, known: Collection[str]) -> tuple[str, ...]:
    """Return every fault of a profile that its format alone does not show.

    Args:
        profile: One that loads.
        known: The canonical names that are in use; a name beside one of them is a slip of the pen.
    """
    return (*_link(profile), *faults_of_points(profile, known=known), *_roles(profile), *_identify(profile))


def _link(profile: Profile) -> Iterator[str]:
    """Return what the link says that Modbus does not have, and what its points need and it does not say."""
    told = profile.link.functions
    if unknown := sorted(set(told) - set(FUNCTIONS)):
        yield f"link.functions has {unknown}; values are read and written with {sorted(FUNCTIONS)}"
    if len(set(told)) < len(told):
        yield f"link.functions names one twice: {list(told)}"
    tables = {
        spec.table or profile.defaults.table for spec in profile.points.values() if spec.access is not Access.WRITE
    }
    for table in sorted(tables):
        if (function := READ_FUNCTION[table]) not in told:
            yield f"link.functions has no {function}, with which points of the {table} table are read: {list(told)}"
    for name, spec in profile.points.items():
        writes = _WRITES[spec.table or profile.defaults.table]
        if spec.write_function is not None and spec.write_function not in writes:
            yield f"points.{name}.write_function is {spec.write_function}, and such a value is written with {writes}"
    for table, addresses in profile.link.barriers.items():
        for address in addresses:
            if not 0 <= address <= _LAST_ADDRESS:
                yield f"link.barriers.{table} has {address}, no address from 0 to {_LAST_ADDRESS}"
    for model in () if profile.sunspec is None else profile.sunspec.chain:
        if not (0 < model.id < _LAST_ADDRESS and 0 <= model.base <= _LAST_ADDRESS and model.length > 0):
            yield f"sunspec.chain has model {model.id} of {model.length} registers at {model.base}, which no device has"


def faults_of_points(profile: Profile, *, known: Collection[str]) -> tuple[str, ...]:
    """Return the faults of each value by itself: its name, its unit, its sign and its width."""
    found: list[str] = []
    specs: dict[str, PointSpec | DerivedSpec] = {**profile.points, **profile.derived}
    for name, spec in specs.items():
        where = f"{'points' if name in profile.points else 'derived'}.{name}"
        found += [f"{where}{said}" for said in _of_value(profile, spec, known)]
    return tuple(found)


def _of_value(profile: Profile, spec: PointSpec | DerivedSpec, known: Collection[str]) -> Iterator[str]:
    canonical = spec.canonical
    if canonical not in known and _OTHERS.sub(r"\g<1>1", canonical) not in known:
        likely = difflib.get_close_matches(canonical, known, n=1, cutoff=LIKELY_TYPO)
        if likely:
            yield f".canonical is {canonical!r}; is {likely[0]!r} meant?"
        elif not canonical.endswith(_ENDS):
            yield f".canonical is {canonical!r}, no name in use, and its end names no unit"
    if spec.unit in TO_SCALE:
        yield f".unit is {spec.unit!r}: give the scale that makes it {TO_SCALE[spec.unit]!r}, and that as unit"
    elif (end := UNIT_ENDS.get(spec.unit)) and canonical not in known and not canonical.endswith(end):
        yield f".unit is {spec.unit!r}, and {canonical!r} does not end in {end}"
    elif (units := _units_of(canonical)) and spec.unit not in units:
        yield f".unit is {spec.unit!r}, and {canonical} is in {units[0]}"
    if not TWO_WAY.match(canonical):
        return
    if spec.sign is Sign.NONE:
        yield f".sign is missing: {canonical} flows both ways"
    two_way = TWO_WAY_KINDS & set(profile.kinds if spec.kind is None else (spec.kind,))
    if isinstance(spec, PointSpec) and spec.type in UNSIGNED and spec.sign_bits is None and two_way:
        yield f".type is {spec.type}, and {canonical} of a {sorted(two_way)[0]} flows both ways"


def _units_of(canonical: str) -> tuple[str, ...]:
    """Return the units in which a quantity can be told, by the end of its name; none where that names no unit."""
    ends = [end for end in UNIT_ENDS.values() if canonical.endswith(end)]
    longest = max(ends, key=len, default=None)
    return tuple(unit for unit, end in UNIT_ENDS.items() if end == longest)


def _roles(profile: Profile) -> Iterator[str]:
    """Yield what a device of each kind must tell, or be able to do, to be of use."""
    has = {spec.canonical for spec in profile.points.values()}
    has |= {spec.canonical for spec in profile.derived.values()}
    powers = {name for name in has if name in CONTROL_VALUES and name.endswith("_w")}
    for kind in profile.kinds:
        if kind is Kind.METER and not powers & {"active_power_w", "grid_power_w"}:
            yield "kinds has meter, and no point is active_power_w or grid_power_w"
        if kind is Kind.BATTERY and "soc_pct" not in has:
            yield "kinds has battery, and no point is soc_pct"
        if kind is Kind.INVERTER and not powers and not any(name.startswith("dc") for name in has):
            yield "kinds has inverter, and no point is a power"
        if kind in (Kind.CHARGER, Kind.HEAT_PUMP, Kind.RELAY) and not (profile.capabilities or powers):
            yield f"kinds has {kind}, which neither tells a power nor can be told anything"
    yield from _loads(profile, has)


def _loads(profile: Profile, has: Collection[str]) -> Iterator[str]:
    """Yield what keeps a charging point or a heat pump from being a load of a site."""
    ways = {Lever(one.value) for one in LOAD_CAPABILITIES} & set(profile.capabilities)
    for kind in (Kind.CHARGER, Kind.HEAT_PUMP):
        if kind in profile.kinds and not ways:
            names = ", ".join(one.value for one in LOAD_CAPABILITIES)
            yield f"kinds has {kind}, and capabilities has none of {names}: it can be no load"
    if Lever.LIMIT_CONSUMPTION in ways and Kind.CHARGER in profile.kinds and "ev_state" not in has:
        yield "kinds has charger, and no point is ev_state: nobody knows whether a car is there"
    if Lever.SG_READY in ways and Kind.HEAT_PUMP in profile.kinds and "sg_ready_state" not in has:
        yield "kinds has heat_pump, and no point is sg_ready_state: its state cannot be read back"


def _identify(profile: Profile) -> Iterator[str]:
    """Yield why a profile would fit devices that it is not for."""
    weak = [name for name, pattern in profile.identify.items() if _fits_anything(pattern)]
    probes = [
        spec for spec in profile.points.values() if plausible_range(spec.canonical) and spec.access != Access.WRITE
    ]
    if profile.identify and len(weak) == len(profile.identify) and profile.sunspec is None and not probes:
        yield f"identify.{weak[0]} fits any device: give a pattern that only this one fits"


def _fits_anything(pattern: str) -> bool:
    return all(re.search(pattern, text) for text in ("Q", "7", "zz-9"))
