"""A gateway's status as Prometheus reads it.

Names follow its conventions: base units, the unit last, counters ``_total``.

Source: Prometheus, "Metric and label naming" and the text exposition format 0.0.4.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.web.notes import alarms
from edge.web.tables import Plain

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(status: Plain | None) -> bytes:
    """Return the metrics of a status, as ``edge.site.status`` gives it; ``None`` says that no gateway answers."""
    registry = CollectorRegistry()
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status(Collector):
    def __init__(self, status: Plain | None) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status
        yield _gauge("sitewatt_up", "Whether the gateway answers.", [((), 0.0 if status is None else 1.0)])
        if status is None:
            return
        yield from _power(status)
        yield from _devices(status)
        yield from _gateway(status)


def _power(status: Plain) -> Iterator[Metric]:
    flow = None if status["cycle"] is None else status["cycle"]["flow"]
    if flow is None:
        return
    parts = [((name,), flow[f"{name}_w"]) for name in ("grid", "pv", "battery", "loads", "house")]
    yield _gauge("sitewatt_power_watts", "Power by part, positive into it.", parts, labels=("part",))
    assets = flow["assets"]
    powers = [((asset["id"], asset["kind"]), asset["power_w"]) for asset in assets]
    yield _gauge("sitewatt_asset_power_watts", "Power at an asset's terminals.", powers, labels=("asset", "kind"))
    charges = [((asset["id"],), _ratio(asset["soc_percent"])) for asset in assets]
    yield _gauge("sitewatt_battery_charge_ratio", "State of charge, 0 to 1.", charges, labels=("asset",))


def _devices(status: Plain) -> Iterator[Metric]:
    devices = status["devices"]
    online = [((device["id"], device["profile"]), float(device["online"])) for device in devices]
    yield _gauge("sitewatt_device_online", "Whether a device answers.", online, labels=("device", "profile"))
    latency = [((device["id"],), _seconds(device["latency_ms"])) for device in devices]
    yield _gauge("sitewatt_device_latency_seconds", "How long a device takes to answer.", latency, labels=("device",))


def _gateway(status: Plain) -> Iterator[Metric]:
    loop, outbox = status["loop"], status["outbox"]
    yield _counter("sitewatt_control_cycles", "Control cycles.", loop["cycles"])
    yield _counter("sitewatt_control_late_cycles", "Control cycles that were skipped.", loop["late"])
    yield _counter("sitewatt_register_writes", "Setpoints written to devices.", loop["writes"])
    yield _counter("sitewatt_register_failed_writes", "Setpoints that a device did not take.", loop["failed_writes"])
    if (state := status["link"]["state"]) != "none":
        yield _gauge("sitewatt_link_up", "Whether the link is connected.", [((), float(state == "connected"))])
    if (ends_at := status["link"].get("certificate_ends_at")) is not None:
        told = "When the link's own certificate ends."
        ends_s = datetime.fromisoformat(ends_at).timestamp()
        yield _gauge("sitewatt_link_certificate_end_timestamp_seconds", told, [((), ends_s)])
    yield _gauge("sitewatt_outbox_waiting_messages", "Messages not yet acknowledged.", [((), float(outbox["waiting"]))])
    yield _counter("sitewatt_outbox_dropped_messages", "Messages that had to go for want of disk.", outbox["dropped"])
    yield _gauge(
        "sitewatt_active_alarms", "What is wrong now and ends once it is mended.", [((), float(len(alarms(status))))]
    )
    yield _gauge("sitewatt_commands_running", "Commands that hold a lever.", [((), float(len(status["commands"])))])
    limits = [((name,), limit["limit_w"]) for name, limit in status["grid_limits"].items()]
    yield _gauge("sitewatt_grid_limit_watts", "The grid operator's limit in force.", limits, labels=("direction",))
    failures = [((part["name"],), float(part["failures"])) for part in status["parts"]]
    metric = CounterMetricFamily("sitewatt_part_failures", "Failures of a supervised part.", labels=("part",))
    for labels, value in failures:
        metric.add_metric(labels, value)
    yield metric


def _gauge(
    name: str, help_text: str, samples: Iterable[tuple[tuple[str, ...], float | None]], *, labels: tuple[str, ...] = ()
) -> Metric:
    """Return a gauge; a sample that nobody measured is left out, for zero would be a claim."""
    metric = GaugeMetricFamily(name, help_text, labels=labels)
    for values, number in samples:
        if number is not None:
            metric.add_metric(values, number)
    return metric


def _counter(name: str, help_text: str, total: float) -> Metric:
    metric = CounterMetricFamily(name, help_text)
    metric.add_metric((), float(total))
    return metric


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
