"""Reports to Device Defender."""

import json
from typing import Any

from cloud.infra.fleet import DEFENDER_METRICS
from contracts.clock import scaled_clock
from edge.errors import LinkError
from edge.fleet.defender import METER_SILENT_S, OUTBOX_DEPTH, DefenderReports
from tests.support.brokers.link_parts import AT, background, until


class Wire:
    """A link that keeps what is published, and is down at first."""

    def __init__(self) -> None:
        self.attempts = 0
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Any:
        """Fail once, then keep."""
        self.attempts += 1
        if self.attempts == 1:
            raise LinkError("down")
        self.sent.append((topic, json.loads(payload)))


async def test_what_is_known_is_reported_and_a_lost_link_costs_one_report() -> None:
    """An operator sees a gateway choke before it is silent; a value that is not known is not a zero."""
    wire = Wire()
    reports = DefenderReports(
        link=wire,  # type: ignore[arg-type]
        thing="site-1",
        clock=scaled_clock(started_at=AT, speed=1000),
        measure=lambda: {OUTBOX_DEPTH: 12, METER_SILENT_S: None},
    )
    async with background(reports.run(), name="reports"):
        await until(lambda: len(wire.sent) >= 2)
    topics = {topic for topic, _ in wire.sent}
    assert topics == {"$aws/things/site-1/defender/metrics/json"}
    first, second = (content for _, content in wire.sent[:2])
    assert first["custom_metrics"] == {"journal_depth": [{"number": 12}]}
    assert second["header"]["report_id"] >= first["header"]["report_id"] + 300


def test_the_account_knows_what_gateways_report() -> None:
    """A metric that the account does not know is dropped without a word."""
    assert set(DEFENDER_METRICS) == {OUTBOX_DEPTH, METER_SILENT_S}
