"""The description of all topics, and the reader of packed telemetry that the documents give to others."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.quality import Quality
from contracts.telemetry import Sample, TelemetryMessage, columns
from contracts.topics import Broadcast, Down, Up
from sitewatt.asyncapi import document, text

DOCS = Path(__file__).parents[3] / "docs"


def test_the_description_in_the_documents_is_that_of_the_models() -> None:
    """Others generate their clients from it."""
    assert (DOCS / "asyncapi.json").read_text() == text(), "run python -m sitewatt.asyncapi > docs/asyncapi.json"


def test_every_channel_has_an_address_an_operation_and_a_message_that_resolve() -> None:
    """A channel that is added must be described."""
    made = document()
    assert {str(channel) for channel in (*Up, *Down)} <= set(made["channels"])
    assert {f"broadcast-{channel}" for channel in Broadcast} <= set(made["channels"])
    described = {one["channel"]["$ref"].rpartition("/")[2] for one in made["operations"].values()}
    assert described == set(made["channels"])
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(made)):
        at: Any = made
        for part in reference.split("/"):
            at = at[part]
    for channel in made["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])


def test_the_reader_of_packed_telemetry_in_the_documents_reads_it() -> None:
    """Ten lines that need nothing of ours."""
    (reader,) = re.findall(r"```python\n(import base64.*?)```", (DOCS / "agents.md").read_text(), re.DOTALL)
    assert len([line for line in reader.splitlines() if line.startswith("    ")]) <= 10
    start = datetime(2026, 3, 1, tzinfo=UTC)
    samples = [
        Sample(
            point=point,
            at=start + timedelta(seconds=step),
            value=None if step == 3 else step * scale,
            quality=Quality.INVALID if step == 3 else Quality.GOOD,
        )
        for point, scale in (("meter/active_power_w", 1.5), ("battery/soc_percent", 0.0001))
        for step in range(40)
    ]
    base_at, series = columns(samples)
    message = TelemetryMessage(site="home-1", epoch=1, seq=1, sent_at=start, base_at=base_at, series=series)
    payload = message.encode()
    assert b'"packed"' in payload
    names: dict[str, Any] = {}
    exec(reader, names)
    read = list(names["samples"](payload))
    told = [
        (one.point, int(one.at.timestamp() * 1000), one.value if one.value is None else round(one.value, 3))
        for one in samples
    ]
    assert sorted(read, key=str) == sorted(told, key=str)
