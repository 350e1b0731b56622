"""SunSpec register images: models in a chain, written by name, read as bytes.

A model's image is brought up to date only when a read touches it and the plant has moved since.
"""

import struct
from collections.abc import Callable, Mapping, Sequence

from firmware_sim.bank import NoBits, Table
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.sunspec_layout import Field, layout

MARKER = b"SunS"
END = b"\xff\xff\x00\x00"

_RANGE = {
    "u16": (0, 0xFFFE),
    "i16": (-0x7FFF, 0x7FFF),
    "u32": (0, 0xFFFFFFFE),
    "e16": (0, 0xFFFE),
    "b16": (0, 0xFFFE),
    "b32": (0, 0xFFFFFFFE),
    "sf": (-10, 10),
}
_CODES = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "e16": ">H",
    "b16": ">H",
    "b32": ">I",
    "sf": ">h",
    "pad": ">H",
    "f32": ">f",
}
_WRAP = {"a32": (">I", 1 << 32), "a64": (">Q", 1 << 64)}

Value = float | str | None


class Model:
    """One model's registers, id and length included."""

    def __init__(self, model: int, *, values: Mapping[str, Value], modules: int = 0, length: int | None = None) -> None:
        """Build an image in which every point that ``values`` does not name reads as not implemented.

        ``values`` are in engineering units, scale factors among them under their own names. ``length`` cuts or
        stretches the model, as devices do with the pad of model 1.
        """
        self.model = model
        fields = layout(model, modules=modules)
        full = fields[-1].offset + fields[-1].size - 2
        self.length = full if length is None else length
        self.fields = {field.name: field for field in fields if field.offset + field.size <= self.length + 2}
        self._by_offset = {field.offset: field for field in self.fields.values()}
        self.image = bytearray(b"\xff" * 2 * (self.length + 2))
        struct.pack_into(">HH", self.image, 0, model, self.length)
        scales = {name: int(value) for name, value in values.items() if _is_scale(fields, name) and value is not None}
        self._factor = {
            field.name: 10.0 ** -scales[field.scale] if field.scale in scales else None if field.scale else 1.0
            for field in self.fields.values()
        }
        for field in self.fields.values():
            self._sentinel(field)
        self._scales = scales
        self._values: dict[str, Value] = {}
        self.put(values)

    def put(self, values: Mapping[str, Value]) -> None:
        """Write points in engineering units; ``None`` means not implemented, what does not fit is held at the bound."""
        self._values.update(values)
        for name, value in values.items():
            field, factor = self.fields[name], self._factor[name]
            at = 2 * field.offset
            if isinstance(value, str):
                size = 2 * field.size
                self.image[at : at + size] = value.encode("ascii")[:size].ljust(size, b"\0")
            elif value is None or factor is None:
                self._sentinel(field)
            elif field.type == "f32":
                struct.pack_into(">f", self.image, at, value)
            elif field.type in _WRAP:
                code, modulus = _WRAP[field.type]
                struct.pack_into(code, self.image, at, int(value * factor) % modulus)
            else:
                low, high = _RANGE[field.type]
                struct.pack_into(_CODES[field.type], self.image, at, min(max(round(value * factor), low), high))

    def get(self, name: str) -> float:
        """Return a numeric point in engineering units, as a client would read it."""
        field, factor = self.fields[name], self._factor[name]
        assert factor is not None, f"{name} of model {self.model} has no scale factor"
        code = _CODES.get(field.type) or _WRAP[field.type][0]
        (raw,) = struct.unpack_from(code, self.image, 2 * field.offset)
        return float(raw / factor)

    def decode(self, name: str, data: bytes) -> float:
        """Return the engineering value of one point's wire bytes."""
        factor = self._factor[name]
        assert factor is not None, f"{name} of model {self.model} has no scale factor"
        (raw,) = struct.unpack(_CODES[self.fields[name].type], data)
        return float(raw / factor)

    def shift_scales(self, by: int) -> None:
        """Raise every scale factor, and write all values anew so that they mean the same."""
        self._scales = {name: scale + by for name, scale in self._scales.items()}
        for field in self.fields.values():
            if field.scale in self._scales:
                self._factor[field.name] = 10.0 ** -self._scales[field.scale]
        self.put(dict(self._values) | dict(self._scales))

    def blank(self) -> bytes:
        """Return the model's registers while it has no values: id and length alone are there."""
        return bytes(self.image[:4]) + b"".join(
            field.sentinel.to_bytes(2 * field.size, "big") for field in self.fields.values()
        )

    def field_at(self, offset: int) -> Field | None:
        """Return the point that starts at a register of the model."""
        return self._by_offset.get(offset)

    def _sentinel(self, field: Field) -> None:
        size = 2 * field.size
        at = 2 * field.offset
        self.image[at : at + size] = field.sentinel.to_bytes(size, "big")


Part = tuple[Model, Callable[[], None] | None]


class SunSpecBank(NoBits):
    """A chain of models behind the marker.

    ``freshen`` moves the plant on and returns its version; a part of the chain is a model and what writes the present
    values into it, or ``None`` where it never changes by itself.
    """

    def __init__(
        self,
        *,
        base: int,
        parts: Sequence[Part],
        freshen: Callable[[], int],
        write: Callable[[Mapping[tuple[int, str], float]], None] | None,
        writable: frozenset[tuple[int, str]] = frozenset(),
        reset: Callable[[], None] | None = None,
    ) -> None:
        """Lay the models out from ``base``; ``write`` takes values by (model, point) after the address checks."""
        self._base = base
        self._freshen = freshen
        self._write = write
        self._writable = writable
        self._reset = reset
        self._refresh: dict[int, Callable[[], None]] = {}
        self._models: list[tuple[int, int, Model]] = []
        start = 2
        for model, refresh in parts:
            if refresh is not None:
                self._refresh[len(self._models)] = refresh
            self._models.append((start, start + model.length + 2, model))
            start += model.length + 2
        self._size = start + 2
        self._seen = dict.fromkeys(self._refresh, -1)
        self._flipped = False
        self.addresses = {model.model: base + start for start, _, model in self._models}

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Return registers of the chain; both register tables show the holding registers only to FC3."""
        if table is not Table.HOLDING:
            raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)
        first, last = address - self._base, address - self._base + count
        if first < 0 or last > self._size:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        version = self._freshen()
        parts = [MARKER[2 * first : 2 * min(last, 2)]] if first < 2 else []
        for index, (start, end, model) in enumerate(self._models):
            if start < last and first < end:
                if self._seen.get(index, version) != version:
                    self._refresh[index]()
                    self._seen[index] = version
                parts.append(bytes(model.image[2 * max(0, first - start) : 2 * (min(last, end) - start)]))
        tail = self._size - 2
        if last > tail:
            parts.append(END[2 * max(0, first - tail) : 2 * (last - tail)])
        return b"".join(parts)

    def write_registers(self, address: int, data: bytes) -> None:
        """Write points that the device lets clients write, all of them in one go or none."""
        if self._write is None:
            raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)
        values: dict[tuple[int, str], float] = {}
        at = address - self._base
        end = at + len(data) // 2
        while at < end:
            model, field = self._point(at)
            if (model.model, field.name) not in self._writable or at + field.size > end:
                raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
            position = 2 * (at - (address - self._base))
            values[model.model, field.name] = model.decode(field.name, data[position : position + 2 * field.size])
            at += field.size
        self._write(values)
        self.forget_seen()

    def reset(self) -> None:
        """Forget what was written."""
        if self._reset is not None:
            self._reset()
        self.forget_seen()

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Return registers in which every point reads as not implemented; marker, ids and lengths stay."""
        whole = MARKER + b"".join(model.blank() for _, _, model in self._models) + END
        return whole[2 * (address - self._base) :][: 2 * count]

    def flip_scales(self) -> None:
        """Raise every scale factor by one, or take it back."""
        by = -1 if self._flipped else 1
        self._flipped = not self._flipped
        for _, _, model in self._models:
            model.shift_scales(by)

    def forget_seen(self) -> None:
        """Bring every model up to date at its next read."""
        self._seen = dict.fromkeys(self._seen, -1)

    def _point(self, at: int) -> tuple[Model, Field]:
        for start, end, model in self._models:
            if start <= at < end:
                field = model.field_at(at - start)
                if field is not None:
                    return model, field
        raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)


def scale_for(value_max: float, *, bound: int = 32767) -> int:
    """Return the smallest power of ten, zero or greater, with which a value fits into a register."""
    scale = 0
    while value_max / 10**scale > bound:
        scale += 1
    return scale


def common_model(*, maker: str, model: str, serial: str, unit: int, length: int = 66) -> Model:
    """Return model 1: who made the device."""
    values: dict[str, Value] = {"Mn": maker, "Md": model, "Vr": "1.0", "SN": serial, "DA": unit}
    return Model(1, values=values, length=length)


def _is_scale(fields: Sequence[Field], name: str) -> bool:
    return any(field.name == name and field.type == "sf" for field in fields)
