"""Charging points and a heat pump, register by register.

Sources: public drivers of the devices. Alfen NG9xx: float registers, a limit at 1210 that stands for 60 s, a safe
current at 1212. Heidelberg Energy Control: input registers from 4, a limit in 0.1 A at 261, a watchdog at 257 that any
message feeds, a failsafe current at 262. Phoenix Contact EV-ETH: state as a letter at input 100, a coil 400, a limit
in 0.1 A at 528 that stays. Stiebel ISG: the state at input 5000, two virtual inputs from 4001.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firmware_sim.bank import NoBits, Table
from firmware_sim.consumers import LEAST_A, PHASE_V, VALIDITY_S, WATCHDOG_S, Charger, Consumer, HeatPump
from firmware_sim.driver import Driver
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.plant_config import DeviceKind

_COIL_ENABLE = 400

Words = Callable[[], list[int]]
Takes = Callable[[list[int]], None]


@dataclass(frozen=True, kw_only=True)
class Register:
    """A value at an address: its words now, and what is done with words that are written."""

    words: Words
    takes: Takes | None = None


@dataclass(frozen=True, kw_only=True)
class Area:
    """A stretch of a table that can be read; what lies between its values reads 0."""

    table: Table
    first: int
    last: int


class ConsumerDevice(NoBits):
    """One device whose registers are values of the plant."""

    def __init__(
        self,
        *,
        driver: Driver,
        registers: Mapping[tuple[Table, int], Register],
        areas: tuple[Area, ...],
        heard: Callable[[float], None] = lambda _: None,
        coil: tuple[Callable[[], bool], Callable[[bool], None]] | None = None,
    ) -> None:
        """Answer for a part of the plant; ``heard`` is told the instant of each message."""
        self._driver, self._registers, self._areas, self._heard, self._coil = driver, registers, areas, heard, coil

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Return registers of one area."""
        self._heard(self._driver.now_s())
        self._check(table, address, count)
        words = [0] * count
        for (own_table, at), register in self._registers.items():
            if own_table is table:
                for offset, word in enumerate(register.words()):
                    if 0 <= at + offset - address < count:
                        words[at + offset - address] = word
        return struct.pack(f">{count}H", *words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Take values, each of them whole."""
        self._heard(self._driver.now_s())
        words = list(struct.unpack(f">{len(data) // 2}H", data))
        todo: list[tuple[Takes, list[int]]] = []
        while words:
            register = self._registers.get((Table.HOLDING, address))
            if register is None or register.takes is None:
                raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
            length = len(register.words())
            todo.append((register.takes, words[:length]))
            words, address = words[length:], address + length
        for takes, own in todo:
            takes(own)
        self._driver.plant.settle()

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Return the one coil, where there is one."""
        if self._coil is None or table is not Table.COIL or (address, count) != (_COIL_ENABLE, 1):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return [self._coil[0]()]

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Take the one coil."""
        if self._coil is None or (address, len(bits)) != (_COIL_ENABLE, 1):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        self._driver.now_s()
        self._coil[1](bits[0])
        self._driver.plant.settle()

    def reset(self) -> None:
        """Keep everything: what such a device is told it keeps over a short loss of supply."""

    def _check(self, table: Table, address: int, count: int) -> None:
        if not any(
            area.table is table and area.first <= address and address + count - 1 <= area.last for area in self._areas
        ):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)


def consumer_device(kind: DeviceKind, consumer: Consumer, driver: Driver) -> ConsumerDevice:
    """Return the registers of a device over its part of the plant."""
    if isinstance(consumer, HeatPump):
        return _stiebel(consumer, driver)
    if kind is DeviceKind.ALFEN_EVE:
        return _alfen(consumer, driver)
    return _heidelberg(consumer, driver) if kind is DeviceKind.HEIDELBERG_EC else _phoenix(consumer, driver)


def _alfen(charger: Charger, driver: Driver) -> ConsumerDevice:
    now_s = driver.now_s

    def limit(words: list[int]) -> None:
        charger.limit_a, charger.heard_s = struct.unpack(">f", struct.pack(">HH", *words))[0], now_s()

    def left_s() -> float:
        return max(0.0, charger.heard_s + VALIDITY_S - now_s())

    holding: dict[int, Register] = {
        **{at: Register(words=lambda: _float(PHASE_V)) for at in (306, 308, 310)},
        **{at: Register(words=lambda: _float(_drawn_a(charger, now_s()))) for at in (320, 322, 324)},
        336: Register(words=lambda: _float(50.0)),
        344: Register(words=lambda: _float(charger.power_w(now_s()))),
        374: Register(words=lambda: list(struct.unpack(">4H", struct.pack(">d", charger.energy_wh)))),
        1201: Register(words=lambda: _text(_pilot(charger, now_s(), digit="2"), 5)),
        1206: Register(words=lambda: _float(charger.current_a(now_s()))),
        1208: Register(words=lambda: list(struct.unpack(">2H", struct.pack(">I", int(left_s()))))),
        1210: Register(words=lambda: _float(charger.limit_a), takes=limit),
        1212: Register(words=lambda: _float(charger.safe_a)),
        1215: Register(words=lambda: [charger.phases], takes=lambda words: setattr(charger, "phases", words[0])),
    }
    areas = tuple(Area(table=Table.HOLDING, first=first, last=last) for first, last in ((300, 425), (1200, 1215)))
    return ConsumerDevice(driver=driver, registers=_in(Table.HOLDING, holding), areas=areas)


def _heidelberg(charger: Charger, driver: Driver) -> ConsumerDevice:
    now_s = driver.now_s

    def heard(at_s: float) -> None:
        charger.heard_s = at_s

    def limit(words: list[int]) -> None:
        if words[0] and not 60 <= words[0] <= 160:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
        charger.limit_a = words[0] / 10

    def state() -> int:
        pilot = _pilot(charger, now_s(), digit="2")
        return {"A2": 3, "B2": 5, "C2": 7}[pilot]

    inputs: dict[int, Register] = {
        4: Register(words=lambda: [0x108]),
        5: Register(words=lambda: [state()]),
        **{at: Register(words=lambda: [round(10 * _drawn_a(charger, now_s()))]) for at in (6, 7, 8)},
        9: Register(words=lambda: [250]),
        **{at: Register(words=lambda: [round(PHASE_V)]) for at in (10, 11, 12)},
        13: Register(words=lambda: [1]),
        14: Register(words=lambda: [round(charger.power_w(now_s()))]),
        15: Register(words=lambda: [0, 500]),
        17: Register(words=lambda: list(struct.unpack(">2H", struct.pack(">I", round(charger.energy_wh))))),
        100: Register(words=lambda: [16]),
        101: Register(words=lambda: [6]),
    }
    holding = {
        257: Register(words=lambda: [round(1000 * WATCHDOG_S)], takes=lambda _: None),
        258: Register(words=lambda: [4], takes=lambda _: None),
        259: Register(words=lambda: [1], takes=lambda _: None),
        261: Register(words=lambda: [round(10 * charger.limit_a)], takes=limit),
        262: Register(words=lambda: [round(10 * charger.safe_a)], takes=lambda _: None),
    }
    areas = (
        Area(table=Table.INPUT, first=4, last=18),
        Area(table=Table.INPUT, first=100, last=101),
        Area(table=Table.HOLDING, first=257, last=262),
    )
    registers = {**_in(Table.INPUT, inputs), **_in(Table.HOLDING, holding)}
    return ConsumerDevice(driver=driver, registers=registers, areas=areas, heard=heard)


def _phoenix(charger: Charger, driver: Driver) -> ConsumerDevice:
    now_s = driver.now_s

    def limit(words: list[int]) -> None:
        charger.limit_a = words[0] / 10

    def low_first(value: int) -> list[int]:
        return [value & 0xFFFF, value >> 16 & 0xFFFF]

    inputs = {
        100: Register(words=lambda: [ord(_pilot(charger, now_s(), digit="")[0])]),
        108: Register(words=lambda: low_first(round(PHASE_V))),
        114: Register(words=lambda: low_first(round(_drawn_a(charger, now_s())))),
        120: Register(words=lambda: low_first(round(charger.power_w(now_s())))),
        128: Register(words=lambda: low_first(round(charger.energy_wh))),
    }
    holding = {
        300: Register(words=lambda: [round(10 * charger.current_a(now_s()))]),
        528: Register(words=lambda: [round(10 * charger.limit_a)], takes=limit),
        904: Register(words=lambda: low_first(round(charger.energy_wh))),
    }
    areas = (
        Area(table=Table.INPUT, first=100, last=131),
        *(Area(table=Table.HOLDING, first=first, last=last) for first, last in ((300, 300), (528, 528), (904, 905))),
    )

    def enable(on: bool) -> None:
        charger.is_enabled = on

    registers = {**_in(Table.INPUT, inputs), **_in(Table.HOLDING, holding)}
    return ConsumerDevice(driver=driver, registers=registers, areas=areas, coil=(lambda: charger.is_enabled, enable))


def _stiebel(pump: HeatPump, driver: Driver) -> ConsumerDevice:
    def activate(words: list[int]) -> None:
        pump.is_active = bool(words[0])

    # The virtual inputs are the label's contacts the other way round: input 2 alone locks, input 1 alone recommends.
    # Source: nymea-plugins-modbus, stiebel-eltron-registers.json, 0x00000001 at 4001 for state 1; evcc, stiebel-wpm.
    def first(words: list[int]) -> None:
        pump.inputs = (pump.inputs[0], bool(words[0]))

    def second(words: list[int]) -> None:
        pump.inputs = (bool(words[0]), pump.inputs[1])

    inputs = {
        **{at: Register(words=lambda: [210]) for at in (506, 514, 515, 517, 521)},
        2500: Register(words=lambda: [0]),
        5000: Register(words=lambda: [pump.state]),
    }
    holding = {
        4000: Register(words=lambda: [int(pump.is_active)], takes=activate),
        4001: Register(words=lambda: [int(pump.inputs[1])], takes=first),
        4002: Register(words=lambda: [int(pump.inputs[0])], takes=second),
    }
    areas = (
        *(
            Area(table=Table.INPUT, first=first_, last=last)
            for first_, last in ((500, 530), (2500, 2500), (5000, 5000))
        ),
        Area(table=Table.HOLDING, first=4000, last=4002),
    )
    return ConsumerDevice(
        driver=driver, registers={**_in(Table.INPUT, inputs), **_in(Table.HOLDING, holding)}, areas=areas
    )


def _in(table: Table, registers: Mapping[int, Register]) -> dict[tuple[Table, int], Register]:
    return {(table, at): register for at, register in registers.items()}


def _float(value: float) -> list[int]:
    return list(struct.unpack(">2H", struct.pack(">f", value)))


def _text(text: str, registers: int) -> list[int]:
    return list(struct.unpack(f">{registers}H", text.encode().ljust(2 * registers, b"\0")))


def _drawn_a(charger: Charger, now_s: float) -> float:
    return charger.power_w(now_s) / (PHASE_V * charger.phases)


def _pilot(charger: Charger, now_s: float, *, digit: str) -> str:
    """Return the state of the control pilot: no car, a car that waits, a car that charges."""
    if not charger.is_plugged:
        return f"A{digit}"
    return f"C{digit}" if charger.current_a(now_s) >= LEAST_A else f"B{digit}"
