"""The meters: SunSpec model 203 and an Eastron SDM630, over a connection point or the feeder's transformer.

Both count power positive when it is drawn from the grid. Their energy counters outlive a loss of supply.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.bank import ReadOnly, Table
from firmware_sim.driver import Driver
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.plant_parts import Counters
from firmware_sim.sunspec import Model, SunSpecBank, Value, common_model, scale_for

_REGISTERS_PER_READ_MAX = 80
_NAN = 0x7FC00000


@dataclass(frozen=True, kw_only=True)
class MeteredPoint:
    """What a meter sees at the place where it sits; ``power_w`` is positive for import."""

    power_w: Callable[[], float]
    voltage_v: Callable[[], float]
    frequency_hz: Callable[[], float]
    counters: Counters
    phases: int
    power_w_max: float

    def shares(self) -> tuple[float, float, float]:
        """Return the part of the power that each phase carries."""
        share = 1.0 / self.phases
        return share, share if self.phases > 1 else 0.0, share if self.phases > 2 else 0.0


def sunspec_meter(*, point: MeteredPoint, driver: Driver, serial: str, unit: int, base: int) -> SunSpecBank:
    """Return a meter on SunSpec model 203: W positive for import, as the grid meters of inverter makers count."""
    watts = scale_for(point.power_w_max)
    amps = scale_for(point.power_w_max / 200, bound=320) - 2
    scales: dict[str, Value] = {
        "A_SF": amps,
        "V_SF": -1,
        "Hz_SF": -2,
        "W_SF": watts,
        "VA_SF": watts,
        "VAR_SF": watts,
        "PF_SF": -1,
        "TotWh_SF": 0,
        "Evt": 0,
    }
    model = Model(203, values=scales)
    shares = point.shares()

    def refresh() -> None:
        power_w, voltage_v = point.power_w(), point.voltage_v()
        line_v = voltage_v * math.sqrt(3)
        current_a = power_w / voltage_v
        values: dict[str, Value] = {
            "A": current_a,
            "PhV": voltage_v,
            "PPV": line_v,
            "PhVphAB": line_v,
            "PhVphBC": line_v,
            "PhVphCA": line_v,
            "Hz": point.frequency_hz(),
            "W": power_w,
            "VA": abs(power_w),
            "VAR": 0.0,
            "PF": 100.0 if power_w >= 0 else -100.0,
            "TotWhExp": point.counters.export_wh,
            "TotWhImp": point.counters.import_wh,
        }
        for phase, share in zip("ABC", shares, strict=True):
            values[f"Aph{phase}"] = current_a * share
            values[f"PhVph{phase}"] = voltage_v
            values[f"Wph{phase}"] = power_w * share
            values[f"TotWhExpPh{phase}"] = point.counters.export_wh * share
            values[f"TotWhImpPh{phase}"] = point.counters.import_wh * share
        model.put(values)

    common = common_model(maker="Sunhouse", model="Grid meter", serial=serial, unit=unit)
    return SunSpecBank(base=base, parts=[(common, None), (model, refresh)], freshen=driver.freshen, write=None)


class Sdm630(ReadOnly):
    """An Eastron SDM630: input registers, float32, most significant word first.

    It answers at most 80 registers a request, knows the ranges below and no others, and reads reserved registers inside
    them as zero.
    Source: Eastron SDM630 Modbus protocol description, input register table; public drivers of volkszaehler/mbmd and
    openWB for the addresses in use.
    """

    _RANGES = ((0, 106), (200, 208), (342, 382))
    _SERIAL = 64512

    def __init__(self, *, point: MeteredPoint, driver: Driver, serial: int) -> None:
        """Sit at a metered point; ``serial`` is the 32-bit serial number."""
        self._point = point
        self._driver = driver
        self._serial = struct.pack(">I", serial & 0xFFFFFFFF)
        self._shares = point.shares()
        self._image = bytearray(2 * self._RANGES[-1][1])
        self._seen = -1

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Return measurements (FC4) or the serial number (FC3)."""
        if count > _REGISTERS_PER_READ_MAX:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
        end = address + count
        if table is Table.HOLDING:
            if not self._SERIAL <= address < end <= self._SERIAL + 2:
                raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
            return self._serial[2 * (address - self._SERIAL) : 2 * (end - self._SERIAL)]
        if not any(first <= address and end <= last for first, last in self._RANGES):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        version = self._driver.freshen()
        if version != self._seen:
            self._refresh()
            self._seen = version
        return bytes(self._image[2 * address : 2 * end])

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Return floats that are not a number."""
        return (struct.pack(">I", _NAN) * (count + 1))[2 * (address % 2) :][: 2 * count]

    def _refresh(self) -> None:
        point = self._point
        power_w, voltage_v, counters = point.power_w(), point.voltage_v(), point.counters
        line_v = voltage_v * math.sqrt(3)
        powers_w = [power_w * share for share in self._shares]
        currents_a = [abs(power) / voltage_v for power in powers_w]
        apparent_va = [abs(power) for power in powers_w]
        import_kwh, export_kwh = counters.import_wh / 1000, counters.export_wh / 1000
        factor = 1.0 if power_w >= 0 else -1.0
        self._put(0, voltage_v, voltage_v, voltage_v, *currents_a, *powers_w, *apparent_va, 0.0, 0.0, 0.0)
        self._put(30, factor, factor, factor, 0.0, 0.0, 0.0, voltage_v)
        self._put(46, sum(currents_a) / 3, sum(currents_a))
        self._put(52, power_w)
        self._put(56, abs(power_w))
        self._put(62, factor)
        self._put(70, point.frequency_hz(), import_kwh, export_kwh)
        self._put(200, line_v, line_v, line_v, line_v)
        self._put(342, import_kwh + export_kwh)
        self._put(346, *(import_kwh * share for share in self._shares), *(export_kwh * share for share in self._shares))
        self._put(358, *((import_kwh + export_kwh) * share for share in self._shares))

    def _put(self, address: int, *values: float) -> None:
        struct.pack_into(f">{len(values)}f", self._image, 2 * address, *values)
