"""The registers of a profile over a plant: they read what the plant does, and what is written moves it."""

import re
import struct
from collections.abc import Iterable
from dataclasses import replace

from edge.devices.canonical import to_device
from edge.devices.profile import Profile
from edge.devices.recipes import Lever, Recipe
from edge.devices.resolve import Resolved, resolve, worked_example
from edge.errors import ValueRefused
from edge.modbus.codec import decode
from edge.modbus.encode import encode
from edge.modbus.point import Access, DataType, RegisterPoint, Table, WordOrder
from firmware_sim.bank import Table as BankTable
from firmware_sim.errors import ExceptionCode, ModbusRefused
from sitewatt.bench.orders import obey
from sitewatt.bench.plant import Bench
from sitewatt.bench.values import value_of

_SUNSPEC_MARKER = (0x5375, 0x6E53)
_FINE_UNITS = ("V", "Hz", "A", "%")
_TENTHS = 0xFFFF  # A scale factor of -1.


class ProfileBank:
    """One device as its profile has it. Registers that no point reads do not exist."""

    def __init__(self, profile: Profile, bench: Bench) -> None:
        self._told = _told(profile)
        self.resolved: Resolved = resolve(profile, told=self._told)
        self._bench = bench
        self._words: dict[Table, dict[int, int]] = {table: {} for table in Table}
        self._lapses_s: dict[Lever, float | None] = {}
        self._free = frozenset(self.resolved.levers)
        self._lay_out()
        for recipe in self._recipes().values():
            for step in recipe.restore:
                for name, value in step.write.items():
                    if isinstance(value, int | float):
                        self._put(self.resolved.points[name], float(value))
            for name, value in recipe.requires.items():
                self._put(self.resolved.points[name], value)
        for name, text in self._told.items():
            point = self.resolved.points[name]
            self._put(point, text if point.data_type is DataType.STRING else float(text))
        self._refresh()

    def words(self) -> dict[Table, dict[int, int]]:
        """Return all registers, as the plant is now."""
        self._refresh()
        return {table: dict(words) for table, words in self._words.items()}

    # What a server asks.

    def read_registers(self, table: BankTable, address: int, count: int) -> bytes:
        """Return registers, as the plant is now."""
        self._refresh()
        return struct.pack(f">{count}H", *self._span(Table(table.value), address, count))

    def write_registers(self, address: int, data: bytes) -> None:
        """Take registers, and let the plant do what they tell."""
        words = struct.unpack(f">{len(data) // 2}H", data)
        self._span(Table.HOLDING, address, len(words))
        self._take(Table.HOLDING, address, words)

    def read_bits(self, table: BankTable, address: int, count: int) -> list[bool]:
        """Return coils or discrete inputs."""
        self._refresh()
        return [bool(bit) for bit in self._span(Table(table.value), address, count)]

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Take coils."""
        self._span(Table.COIL, address, len(bits))
        self._take(Table.COIL, address, [int(bit) for bit in bits])

    def reset(self) -> None:
        """Forget what was told: every lever is free."""
        self._free, self._lapses_s = frozenset(self.resolved.levers), {}

    def sentinels(self, table: BankTable, address: int, count: int) -> bytes:
        """Return all ones, the commonest pattern for a missing value."""
        return b"\xff\xff" * count

    def flip_scales(self) -> None:
        """Keep everything: the scale factors of a profile's device are what they are."""

    # The plant and the registers.

    def _recipes(self) -> dict[Lever, Recipe]:
        profile = self.resolved.profile
        return {lever: profile.capabilities[lever][number] for lever, number in self.resolved.levers.items()}

    def _take(self, table: Table, address: int, words: Iterable[int]) -> None:
        now_s = self._bench.driver.now_s()
        written = dict(enumerate(words, address))
        self._words[table].update(written)
        for lever, recipe in self._recipes().items():
            points = [self.resolved.points[name] for name in recipe.points() if name not in recipe.requires]
            if any(self._touches(point, table, written) for point in points):
                self._free -= {lever}
                self._lapses_s[lever] = self._lapse_s(recipe, now_s)
        for point in self.resolved.points.values():
            if point.write_address is not None and point.write_address in written and point.table is table:
                for offset in range(point.count):
                    self._words[table][point.address + offset] = self._words[table][point.write_address + offset]
        self._refresh()

    def _lapse_s(self, recipe: Recipe, now_s: float) -> float | None:
        """Return when the device lets go, on the plant's clock; None where it never does."""
        fallback = recipe.fallback
        if fallback.armed_by is not None:
            time_s = self._held(self.resolved.points[fallback.armed_by])
            return now_s + time_s if time_s else None
        return None if fallback.after_s is None else now_s + fallback.after_s

    def _refresh(self) -> None:
        """Let timers run out, let the plant obey, and write what it does into the registers."""
        bench, resolved = self._bench, self.resolved
        bench.driver.freshen()
        now_s = bench.plant.now_s
        lapsed = frozenset(lever for lever, at_s in self._lapses_s.items() if at_s is not None and now_s >= at_s)
        names = {name for recipe in self._recipes().values() for name in recipe.points()}
        held = {name: value for name in names if (value := self._held(resolved.points[name])) is not None}
        obey(bench, resolved, held, free=self._free, lapsed=lapsed)
        for name, point in resolved.points.items():
            spec = resolved.profile.points[name]
            if point.access is not Access.READ or spec.scale_factor:
                continue
            shown = self._identity(name) or value_of(resolved.profile, spec, bench)
            if shown is not None:
                self._put(point, shown if isinstance(shown, str) else to_device(spec, shown))

    def _identity(self, name: str) -> str | float | None:
        """Return a text or a code by which the profile knows its device, None for other points."""
        if name in self._told:
            return self._told[name] if self.resolved.points[name].data_type is DataType.STRING else None
        pattern = self.resolved.profile.identify.get(name)
        if pattern is None:
            return None
        point, profile = self.resolved.points[name], self.resolved.profile
        if point.data_type is DataType.STRING:
            plain = re.sub(r"\(\?i\)|[\^$]", "", pattern)
            texts = (plain, profile.vendor, *profile.models)
            return next((text for text in texts if re.search(pattern, text)), None)
        codes = point.enum or {code: str(code) for code in range(0x10000)}
        return next((float(code) for code, text in codes.items() if re.search(pattern, text)), None)

    def _held(self, point: RegisterPoint) -> float | None:
        """Return what a point holds as a number, in the device's own sign."""
        reading = decode(point, self._words[point.table])
        if isinstance(reading.value, str):
            return float(reading.raw) if isinstance(reading.raw, int) else None
        return None if reading.value is None else float(reading.value)

    def _put(self, point: RegisterPoint, value: float | str) -> None:
        """Write a value into its registers; what does not fit its type is left as it was."""
        words = self._words[point.table]
        if isinstance(value, str) and point.data_type is not DataType.STRING:
            number = next((code for code, text in point.enum.items() if text.startswith(value)), None)
            if number is None and len(value) > 1:
                return  # A name where the device has a number.
            value = float(ord(value) if number is None else number)
        if point.parts:
            raw = round(float(value) / point.scale - point.offset) % (1 << 16 * len(point.parts))
            for shift, at in enumerate(reversed(point.parts)):
                words[at] = raw >> 16 * shift & 0xFFFF
            return
        if point.sign_from is not None and isinstance(value, float):
            mask = point.sign_from.positive_mask if value >= 0 else point.sign_from.negative_mask
            words[point.sign_from.address] = mask
            value = abs(value)
        if point.table.is_bits:
            words[point.address] = int(bool(value))
            return
        factor = None if point.scale_register is None else words[point.scale_register]
        plain = replace(
            point,
            table=Table.HOLDING,
            access=Access.READ_WRITE,
            sign_from=None,
            write_address=None,
            value_min=None,
            value_max=None,
            step=None,
        )
        try:
            (write,) = encode(plain, value, scale_factor=factor)
        except ValueRefused:
            return
        words.update(enumerate(write.words, point.address))

    # Addresses.

    def _lay_out(self) -> None:
        for point in self.resolved.points.values():
            words = self._words[point.table]
            for start, end in point.spans():
                words.update({at: 0 for at in range(start, end) if at not in words})
            if point.write_address is not None:
                words.update(dict.fromkeys(range(point.write_address, point.write_address + point.count), 0))
        for recipe in self._recipes().values():
            for step in (step for steps in (*recipe.modes.values(), recipe.restore) for step in steps):
                if step.pad_to is not None:
                    first = min(self.resolved.points[name].address for name in step.write)
                    for at in range(first, step.pad_to + 1):
                        self._words[Table.HOLDING].setdefault(at, 0)
        for name, point in self.resolved.points.items():
            if point.scale_register is not None and self.resolved.profile.points[name].unit in _FINE_UNITS:
                self._words[point.table][point.scale_register] = _TENTHS
        learn = self.resolved.profile.defaults.word_order_from
        if learn is not None:
            little = self.resolved.profile.defaults.word_order is WordOrder.LITTLE
            self._put(self.resolved.points[learn.point], float(learn.little if little else learn.big))
        if self.resolved.profile.sunspec is not None:
            self._add_chain()

    def _add_chain(self) -> None:
        chain, words = worked_example(self.resolved.profile), self._words[Table.HOLDING]
        words.update(enumerate(_SUNSPEC_MARKER, chain.base))
        for model in chain.models:
            for at in range(model.address, model.end):
                words.setdefault(at, 0)
            words.update({model.address: model.model_id, model.address + 1: model.length})
        words.update({chain.models[-1].end: 0xFFFF, chain.models[-1].end + 1: 0})

    def _span(self, table: Table, address: int, count: int) -> list[int]:
        words = self._words[table]
        if any(at not in words for at in range(address, address + count)):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return [words[at] for at in range(address, address + count)]

    def _touches(self, point: RegisterPoint, table: Table, written: dict[int, int]) -> bool:
        address = point.address if point.write_address is None else point.write_address
        return point.table is table and any(at in written for at in range(address, address + point.count))


def _told(profile: Profile) -> dict[str, str]:
    """Return what the telling points of a device read, so that the first of each pair of alternatives exists."""
    told: dict[str, str] = {}
    for spec in profile.points.values():
        for name, wanted in spec.when.items():
            told.setdefault(name, wanted.example())
    return told
