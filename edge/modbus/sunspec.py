"""Find the SunSpec models of a device: the marker at a known base, then from model to model by the reported lengths.

The walk is pure: it asks for registers and is sent words, so that a live device and a dump are walked alike.
Source: SunSpec device information model specification 1.1, 6.2 to 6.4.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.errors import DeviceImplausible, DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.patience import GATEWAY, PASSING, read_patiently
from edge.modbus.pdu import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE
from edge.modbus.point import PollClass, Priority, RegisterPoint, Table

BASES = (40000, 50000, 0)
MARKER = (0x5375, 0x6E53)  # "SunS"
NO_MODEL = (0xFFFF, 0, 0x8000)  # The end; zeros where a device forgot it; a pad that is not implemented.
MODEL_LENGTH_MAX = 1024
HEADER_REGISTERS = 2  # Model id and length, before the data that the length counts.
MODELS_MAX = 128  # A longer chain is a loop or garbage.
REGISTERS_PER_READ = 120
NO_SUCH_REGISTERS = (ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE)

Walk = Generator[tuple[int, int], Sequence[int] | None, "SunSpecMap | None"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of a device.

    Args:
        instance: 1 for the first model of this id, 2 for the next.
        address: Of the register that holds the id; offsets of the specification count from here.
        length: Registers after id and length.
    """

    model_id: int
    instance: int
    address: int
    length: int

    @property
    def end(self) -> int:
        """Return the first address after the model."""
        return self.address + HEADER_REGISTERS + self.length


@dataclass(frozen=True, kw_only=True)
class UnreadHeader:
    """The header of a chain that its device refuses each time, for a reason that is not the chain's end."""

    address: int
    exception_code: int
    why: str

    def told(self, models: Iterable["Model"]) -> str:
        """Return which header is refused, why, and what was found before it."""
        found = ", ".join(str(model.model_id) for model in models) or "none"
        return f"the SunSpec header at {self.address} is refused each time ({self.why}); models before it: {found}"


@dataclass(frozen=True, kw_only=True)
class SunSpecMap:
    """Where the models of a device lie; ``unread`` is the header at which its chain could not be followed further."""

    base: int
    models: tuple[Model, ...]
    unread: UnreadHeader | None = None

    def find(self, model_id: int, instance: int = 1) -> Model | None:
        """Return a model, None where the device has no such."""
        for model in self.models:
            if (model.model_id, model.instance) == (model_id, instance):
                return model
        return None

    def address(self, model_id: int, offset: int, *, instance: int = 1) -> int | None:
        """Return where an offset of a model lies, None where the device has no such model or it is shorter."""
        model = self.find(model_id, instance)
        return None if model is None or model.address + offset >= model.end else model.address + offset


def header_points(where: SunSpecMap, points: Iterable[RegisterPoint]) -> dict[str, tuple[RegisterPoint, int]]:
    """Return the registers that hold the ids of the models of points, by name, each with the id that stands there.

    Read beside the points, and as often, they tell in the same cycle that another model lies there now.
    """
    held = {point.address for point in points}
    headers: dict[str, tuple[RegisterPoint, int]] = {}
    for model in where.models:
        if any(model.address <= address < model.end for address in held):
            name = f"model_{model.model_id}_{model.instance}"
            headers[name] = (
                RegisterPoint(name=name, address=model.address, poll_class=PollClass.CONTROL),
                model.model_id,
            )
    return headers


def walk(base: int) -> Walk:
    """Ask for ``(address, count)``, be sent the words (None where there are none), return the map.

    Raises:
        DeviceImplausible: The chain does not end.
    """
    marker = yield base, len(MARKER)
    if marker is None or tuple(marker) != MARKER:
        return None
    address = base + len(MARKER)
    models: list[Model] = []
    seen: dict[int, int] = {}
    while True:
        header = yield address, HEADER_REGISTERS
        if len(models) == 1 and header is not None and header[0] in NO_MODEL:
            # Model 1 may say one register less than it has: its pad is counted by some devices and not by others.
            padded = yield address + 1, HEADER_REGISTERS
            if padded is not None and _may_be_model(padded):
                address, header = address + 1, padded
        if header is None or header[0] in NO_MODEL:
            return SunSpecMap(base=base, models=tuple(models))
        if address + HEADER_REGISTERS + header[1] > 0xFFFF and models:
            return SunSpecMap(base=base, models=tuple(models))  # No model: some chains end in whatever lies there.
        if len(models) == MODELS_MAX or address + HEADER_REGISTERS + header[1] > 0xFFFF:
            raise DeviceImplausible(f"SunSpec chain at {base} has not ended at {address} after {len(models)} models")
        model_id, length = header
        seen[model_id] = seen.get(model_id, 0) + 1
        models.append(Model(model_id=model_id, instance=seen[model_id], address=address, length=length))
        address = models[-1].end


def _may_be_model(header: Sequence[int]) -> bool:
    return header[0] not in NO_MODEL and 0 < header[1] <= MODEL_LENGTH_MAX


def walk_image(image: Mapping[int, int], *, bases: Sequence[int] = BASES) -> SunSpecMap | None:
    """Return the map that a dump of holding registers holds, None where it holds no marker."""
    for base in bases:
        steps = walk(base)
        words: Sequence[int] | None = None
        try:
            address, count = next(steps)
            while True:
                span = range(address, address + count)
                words = [image[at] for at in span] if all(at in image for at in span) else None
                address, count = steps.send(words)
        except StopIteration as ended:
            if ended.value is not None:
                return ended.value  # type: ignore[no-any-return]
    return None


async def discover(bus: Bus, unit: int, *, bases: Sequence[int] = BASES) -> SunSpecMap | None:
    """Return the map of a live device, None where it shows no marker.

    A device that boots may refuse for a while what it has: that is neither a missing marker nor the end of its chain.
    The models before a header that is refused so are in the map, and the header as unread.

    Raises:
        NoReply: The device did not answer; nothing may be concluded.
        DeviceRefused: It refused, more than once, for another reason than that it has no such registers: the marker,
            or the first header.
        DeviceImplausible: The chain does not end.
    """
    passing: DeviceRefused | None = None
    for base in bases:
        steps = walk(base)
        address, count = next(steps)
        words: Sequence[int] | None = None
        try:
            words = await read_patiently(bus, unit, Table.HOLDING, address, count)
        except DeviceRefused as refusal:
            # Devices refuse an address that they do not have in many ways, but a gateway speaks for all of them.
            if refusal.exception_code in GATEWAY:
                raise
            passing = refusal if refusal.exception_code in PASSING else passing
        unread: UnreadHeader | None = None
        try:
            while True:
                address, count = steps.send(words)
                try:
                    words = await _header(bus, unit, address, count)
                except DeviceRefused as refusal:
                    if refusal.exception_code in GATEWAY:
                        raise
                    words = None
                    unread = UnreadHeader(address=address, exception_code=refusal.exception_code, why=str(refusal))
        except StopIteration as ended:
            found: SunSpecMap | None = ended.value
            if found is not None and unread is not None and not found.models:
                raise DeviceRefused(unread.told(()), exception_code=unread.exception_code) from ended
            if found is not None:
                return replace(found, unread=unread)
    if passing is not None:
        raise passing
    return None


async def read_model(bus: Bus, unit: int, model: Model) -> dict[int, int]:
    """Return all registers of a model by address."""
    image: dict[int, int] = {}
    for start in range(model.address, model.end, REGISTERS_PER_READ):
        count = min(REGISTERS_PER_READ, model.end - start)
        words = await bus.read(unit, Table.HOLDING, start, count, priority=Priority.BACKGROUND)
        image.update(zip(range(start, start + count), words, strict=True))
    return image


async def _header(bus: Bus, unit: int, address: int, count: int) -> Sequence[int] | None:
    """Return a model's header, None where the device has no more registers: some chains have no end model."""
    try:
        return await read_patiently(bus, unit, Table.HOLDING, address, count)
    except DeviceRefused as refusal:
        if refusal.exception_code in NO_SUCH_REGISTERS:
            return None
        raise
