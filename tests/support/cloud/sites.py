"""A small neighbourhood for the cloud: its registry, its key, and messages that its gateways would send."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud.infra.rules import Stream
from cloud.local.events import Context, fields_of, forwarded, kinesis_event
from cloud.local.streams import StreamRecord
from cloud.shell import services as shell_services
from cloud.shell.publishing import Outgoing
from cloud.shell.services import Services
from cloud.shell.signing import Signer
from cloud.stores.parquet import FolderLake
from cloud.stores.registry import Registry, read_registry
from cloud.stores.setup import Stores
from cloud.stores.sqlite import SqliteTables
from contracts.market import OrderMessage, Side
from contracts.metering import MeterReading
from contracts.telemetry import Sample, TelemetryMessage, columns
from contracts.topics import Up, parse, site_topic
from contracts.units import ClockTrust, Quality
from contracts.wire import Message

ZONE = "zone-1"
FEEDER = "feeder-1"
START = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)

# A transformer, and two lines from its low side: a short one to the works at node 2, a long one to the farm at node 3.
NETWORK: Final[dict[str, Any]] = {
    "nodes": [
        {"id": 0, "rated_v": 20_000},
        {"id": 1, "rated_v": 400, "other_share": 0},
        {"id": 2, "rated_v": 400},
        {"id": 3, "rated_v": 400, "other_share": 0},
    ],
    "lines": [
        {"from_node": 1, "to_node": 2, "r_ohm": 0.002, "x_ohm": 0.002, "current_a_max": 1_500},
        {"from_node": 1, "to_node": 3, "r_ohm": 0.2, "x_ohm": 0.05, "current_a_max": 400},
    ],
    "transformers": [
        {"from_node": 0, "to_node": 1, "from_v": 20_000, "to_v": 400, "rated_va": 800_000, "short_circuit_pu": 0.04,
         "copper_loss_w": 6_000},
    ],
    "source_node": 0,
}  # fmt: skip


def registry_data(*, homes: int = 2) -> dict[str, Any]:
    """Return a solar farm, a factory and homes on one feeder."""
    battery = {"capacity_wh": 100_000, "charge_w_max": 50_000, "discharge_w_max": 50_000}
    site = {"zone": ZONE, "feeder": FEEDER}
    return {
        "zones": [{"id": ZONE, "timezone": "UTC", "market": {"opening_s": 7200}}],
        "feeders": [{"id": FEEDER, "zone": ZONE, "import_limit_w": 200_000, "export_limit_w": 200_000}],
        "sites": [
            {**site, "id": "farm", "agent": "producer", "import_limit_w": 60_000, "export_limit_w": 180_000,
             "battery": battery, "pv_peak_w": 130_000},
            {**site, "id": "factory", "agent": "consumer", "import_limit_w": 700_000, "export_limit_w": 100_000,
             "battery": battery},
            *({**site, "id": f"home-{number}", "agent": "consumer", "import_limit_w": 17_000, "export_limit_w": 10_000}
              for number in range(1, homes + 1)),
        ],
    }  # fmt: skip


def registry(*, homes: int = 2) -> Registry:
    """Return the same, checked."""
    return read_registry(registry_data(homes=homes), where="test")


def write_key(path: Path) -> Ed25519PrivateKey:
    """Make a signing key and write it as PEM."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def write_config(folder: Path, *, port: int, homes: int = 2, **more: Any) -> Path:
    """Write the settings of a local cloud into a folder and return their file."""
    write_key(folder / "signing.pem")
    config = {
        "broker": {"url": f"mqtt://127.0.0.1:{port}", **more.pop("broker", {})},
        "folder": "cloud",
        "signing": {"key_file": "signing.pem"},
        "registry": registry_data(homes=homes),
        **more,
    }
    path = folder / "cloud.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@dataclass
class Recorder:
    """A publisher that remembers; ``fail`` makes the next calls fail."""

    sent: list[Outgoing] = field(default_factory=list)
    fail: Exception | None = None

    def publish(self, messages: Any) -> None:
        """Remember messages, or fail."""
        if self.fail is not None and messages:
            raise self.fail
        self.sent += list(messages)

    def on(self, ending: str) -> list[bytes]:
        """Return the payloads whose topic ends so."""
        return [message.payload for message in self.sent if message.topic.endswith(ending)]


def build_house(stores: Stores, publisher: Recorder, *, homes: int = 2) -> Services:
    """Return services over given stores."""
    signer = Signer(issuer="grid-agent", key=Ed25519PrivateKey.generate())
    return Services(stores=stores, registry=registry(homes=homes), publisher=publisher, signer=signer)


@contextmanager
def house_in(folder: Path, *, homes: int = 2) -> Iterator[tuple[Services, Recorder]]:
    """Install services over files in a folder for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    publisher = Recorder()
    # A test kills processes, not machines.
    tables = SqliteTables.open(folder / "tables.db", power_safe=False)
    services = build_house(Stores(tables=tables, lake=FolderLake(folder / "lake")), publisher, homes=homes)
    shell_services.install(services)
    try:
        yield services, publisher
    finally:
        shell_services.install(None)
        services.stores.tables.close()


def batch(channel: Up, *messages: Any, at: datetime, zone: str = ZONE, first: int = 1) -> dict[str, Any]:
    """Return messages as the batch of Kinesis records in which a function receives them."""
    records = []
    for number, message in enumerate(messages, start=first):
        payload = message.encode() if isinstance(message, Message) else message
        site = getattr(message, "site", "home-1")
        topic = parse(site_topic(zone=zone, site=site, channel=channel))
        assert topic is not None
        data = forwarded(topic, fields_of(payload), at=at)
        records.append(StreamRecord(seq=number, partition_key=site, arrived_at=at, data=data))
    return kinesis_event(Stream(channel.value), 0, records)


def context() -> Context:
    """Return what a function is told about its call."""
    return Context(function_name="test", aws_request_id="0" * 32)


def telemetry(
    site: str,
    seq: int,
    at: datetime,
    values: Mapping[str, Sequence[float | None]],
    *,
    step_s: float = 1.0,
    epoch: int = 1,
) -> TelemetryMessage:
    """Return a message with good samples every ``step_s`` from an instant, by point."""
    samples = [
        Sample(
            point=point,
            at=at + timedelta(seconds=step_s * number),
            value=value,
            quality=Quality.GOOD if value is not None else Quality.INVALID,
        )
        for point, column in values.items()
        for number, value in enumerate(column)
    ]
    base_at, series = columns(samples)
    sent_at = max(sample.at for sample in samples)
    return TelemetryMessage(site=site, epoch=epoch, seq=seq, sent_at=sent_at, base_at=base_at, series=series)


def order(
    site: str, seq: int, interval_start: datetime, side: Side, quantity_wh: int, price: int, *, at: datetime
) -> OrderMessage:
    """Return a new order."""
    return OrderMessage(
        site=site,
        epoch=1,
        seq=seq,
        sent_at=at,
        order_id=f"{site}-{seq}",
        interval_start=interval_start,
        side=side,
        quantity_wh=quantity_wh,
        price_mct_per_kwh=price,
        issued_at=at,
    )


def reading(
    site: str, seq: int, interval_start: datetime, *, import_wh: int = 0, export_wh: int = 0, version: int = 1
) -> MeterReading:
    """Return a meter reading of good quality."""
    return MeterReading(
        site=site,
        epoch=1,
        seq=seq,
        sent_at=interval_start + timedelta(minutes=15),
        interval_start=interval_start,
        import_wh=import_wh,
        export_wh=export_wh,
        register_import_wh=import_wh,
        register_export_wh=export_wh,
        quality=Quality.GOOD,
        clock=ClockTrust.SYNCED,
        version=version,
    )
