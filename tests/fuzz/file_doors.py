"""Doors for files that people write or bring: configurations, profiles, tariffs, series, market files, dumps."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml

from cloud.errors import SetupError
from cloud.local.config import load_config as load_cloud_config
from cloud.market.rules import SelfTrade
from cloud.market.tools.baseline_file import baseline_of
from cloud.market.tools.clear import ClearMechanism, clear_file
from cloud.market.tools.inputs import BadInput, mapping
from cloud.market.tools.replay import replay
from cloud.market.tools.settle import settle_file
from cloud.market.tools.stream import Stream
from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import read
from domain.tariff.read import BadTariff, read_tariff
from edge.config import load_config
from edge.devices.catalogue import parse_profile
from edge.errors import ConfigError
from firmware_sim.errors import PlantError
from firmware_sim.fault_rules import load_faults
from firmware_sim.plant_config import load_plant
from firmware_sim.replay import load_dump
from tests.fuzz.door import Door, Form, Take
from tests.support.cloud.sites import registry_data
from tests.support.market.streams import INTERVALS, T0_MS, participants, rules
from tests.support.rigs.edge_parts import plain_config

ROOT = Path(__file__).parents[2]
Open = Callable[[Path], AbstractContextManager[Take]]


def _by_path(load: Callable[[Path], object], *refusals: type[Exception]) -> Open:
    """Open a door that reads a file: the bytes are written, then loaded."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Take]:
        file = folder / "file"

        def take(raw: bytes) -> None:
            file.write_bytes(raw)
            with contextlib.suppress(*refusals):
                load(file)

        yield take

    return opened


def _by_text(read_text: Callable[[str], object], *refusals: type[Exception]) -> Open:
    """Open a door that is given the text of a file that is UTF-8."""

    @contextmanager
    def opened(_: Path) -> Iterator[Take]:
        def take(raw: bytes) -> None:
            with contextlib.suppress(UnicodeDecodeError, *refusals):
                read_text(raw.decode())

        yield take

    return opened


def _json(use: Callable[[Any], object]) -> Callable[[str], object]:
    """Read a market file as its commands do, which refuse what is no JSON object themselves."""

    def of_text(text: str) -> object:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return use(mapping(value, "file"))

    return of_text


def _stream(text: str) -> None:
    stream = Stream(SelfTrade.CANCEL_RESTING)
    for line in text.splitlines():
        _json(stream.apply)(line)


@contextmanager
def _series(_: Path) -> Iterator[Take]:
    def take(raw: bytes) -> None:
        for wanted in ("load", "price"):
            with contextlib.suppress(SeriesError):
                read(raw, Options(wanted=wanted))

    yield take


def _rows(separator: str, decimal: str, stamp: str) -> bytes:
    head = f"time{separator}load_w\n"
    lines = (
        f"{stamp.format(hour=number // 4, minute=number % 4 * 15)}{separator}{200 + number}{decimal}5\n"
        for number in range(48)
    )
    return (head + "".join(lines)).encode()


_ORDERS = [
    {"id": "b1", "agent": "ada", "side": "buy", "qty": 10, "price": 9, "seq": 1},
    {"id": "b2", "agent": "bob", "side": "buy", "qty": 10, "price": 7, "seq": 2},
    {"id": "s1", "agent": "cy", "side": "sell", "qty": 15, "price": 3, "seq": 3},
]
_BOOK = [
    {"op": "new", "id": "1", "side": "sell", "qty": 5, "price": 10},
    {"op": "new", "id": "2", "side": "buy", "qty": 8, "price": 11, "agent": "zoe"},
    {"op": "modify", "id": "2", "qty": 2, "price": 12},
    {"op": "cancel", "id": "1"},
]
_SETTLE = {
    "rules": {"last_resort": {"import_mct_per_kwh": 30_000, "export_mct_per_kwh": 8_000}},
    "trades": [{"buy": "mill", "sell": "farm", "qty": 1000, "price": 20_000}],
    "meters": [{"site": "mill", "import_wh": 700}, {"site": "mill", "import_wh": 750, "version": 2}],
    "demand_response": [
        {"event": "e1", "site": "mill", "committed_wh": 300, "baseline_wh": 1000, "price": 40_000, "penalty": 50_000}
    ],
}
_BASELINE = {
    "history": {f"2025-03-{day:02d}": [100] * 96 for day in range(1, 20)},
    "event": {"day": "2025-03-19", "first": 64, "count": 2},
    "excluded": ["2025-03-18"],
}
_JOURNAL = (
    {"rules": rules().model_dump(mode="json")},
    *participants(),
    {"op": "tick", "at_ms": T0_MS},
    *(
        {
            "op": "new", "at_ms": T0_MS + number, "site": site, "order_id": f"o{number}", "side": side,
            "interval_ms": INTERVALS[0], "quantity_wh": 5, "price_mct_per_kwh": 10,
        }
        for number, (site, side) in enumerate((("farm", "sell"), ("mill", "buy")), start=1)
    ),
    {"op": "tick", "at_ms": T0_MS + 3_600_000},
)  # fmt: skip
_CLOUD = {"broker": {"url": "mqtt://127.0.0.1:1883"}, "folder": "cloud", "registry": registry_data()}
_PLANT = {
    "sites": [
        {"id": "home", "load": {"base_w": 300}, "pv": {"peak_w": 5000}, "devices": [{"id": "meter", "kind": "sdm630"}]}
    ]
}


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()


def _shipped(folder: str, *names: str) -> list[bytes]:
    return [(ROOT / folder / name).read_bytes() for name in names]


DOORS = (
    Door(
        name="profile",
        form=Form.YAML,
        samples=_shipped("device_profiles", "eastron_sdm630.yaml", "fronius_gen24_int.yaml"),
        open=_by_text(lambda text: parse_profile("eastron_sdm630", text), ConfigError),
    ),
    Door(
        name="site-file",
        form=Form.YAML,
        samples=[_yaml(plain_config())],
        open=_by_path(load_config, ConfigError),
    ),
    Door(name="cloud-file", form=Form.YAML, samples=[_yaml(_CLOUD)], open=_by_path(load_cloud_config, SetupError)),
    Door(
        name="tariff",
        form=Form.YAML,
        samples=[file.read_bytes() for file in sorted((ROOT / "tariffs").glob("*.yaml"))[:4]],
        open=_by_text(lambda text: read_tariff(text, where="file"), BadTariff),
    ),
    Door(
        name="series",
        form=Form.TEXT,
        samples=[
            _rows(",", ".", "2026-03-17T{hour:02}:{minute:02}:00Z"),
            _rows(";", ",", "17.03.2026 {hour:02}:{minute:02}"),
            json.dumps(
                {
                    "unit": "Wh",
                    "data": [{"from": f"2026-03-17T{hour:02}:00:00Z", "value": hour} for hour in range(24)],
                }
            ).encode(),
        ],
        open=_series,
    ),
    Door(
        name="market-clear",
        form=Form.JSON,
        samples=[json.dumps({"orders": _ORDERS}).encode()],
        open=_by_text(_json(lambda data: clear_file(data, ClearMechanism.PAY_AS_CLEAR)), BadInput),
    ),
    Door(
        name="market-book",
        form=Form.LINES,
        samples=["\n".join(json.dumps(line) for line in _BOOK).encode()],
        open=_by_text(_stream, BadInput),
    ),
    Door(
        name="market-settle",
        form=Form.JSON,
        samples=[json.dumps(_SETTLE).encode()],
        open=_by_text(_json(settle_file), BadInput),
    ),
    Door(
        name="market-baseline",
        form=Form.JSON,
        samples=[json.dumps(_BASELINE).encode()],
        open=_by_text(_json(baseline_of), BadInput),
    ),
    Door(
        name="market-journal",
        form=Form.LINES,
        samples=["\n".join(json.dumps(line) for line in _JOURNAL).encode()],
        open=_by_text(lambda text: replay(text.splitlines()), BadInput),
    ),
    Door(name="plant", form=Form.YAML, samples=[_yaml(_PLANT)], open=_by_path(load_plant, PlantError)),
    Door(
        name="faults",
        form=Form.YAML,
        samples=[
            _yaml({"rules": [{"kind": "delay", "delay_s": 0.5}, {"kind": "hole", "address": 40_000, "count": 3}]})
        ],
        open=_by_path(load_faults, PlantError),
    ),
    Door(
        name="dump",
        form=Form.JSON,
        samples=[json.dumps([{"at": 0, "holding": {"40000": 21365}}, {"at": 1, "holding": {"40001": 7}}]).encode()],
        open=_by_path(load_dump, PlantError),
    ),
)
