"""Prompts for people who work with a model: what to look at, in which order, and what the answer must name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text with places for arguments, each with what it means."""

    name: str
    description: str
    arguments: Mapping[str, str]
    text: str

    def filled(self, given: Mapping[str, str]) -> str:
        """Return the text with its arguments; they are quoted, for they may come from anywhere."""
        return self.text.format(**{name: repr(str(given[name])[:200]) for name in self.arguments})


PROMPTS: Final = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="explain_price",
            description="Explain why a zone's last delivery intervals cost what they did.",
            arguments={"zone": "The zone's id, for example zone-1."},
            text=(
                "Explain the prices of zone {zone}. Call market_status, price_discovery, and forecast with kind price. "
                "Name for each interval its price, volume and state. Say what is not known; guess nothing."
            ),
        ),
        Prompt(
            name="explain_event",
            description="Explain a feeder's last demand-response event from its evidence.",
            arguments={"feeder": "The feeder's id, for example feeder-1."},
            text=(
                "Explain the newest event of feeder {feeder}. Call grid_status, then event_evidence with its event_id. "
                "Say what was detected, which sites were asked for how much, what meters showed, and what is missing."
            ),
        ),
        Prompt(
            name="explain_bill",
            description="Explain what a site owes or is owed for the last days.",
            arguments={"site": "The site's id, for example home-1.", "agent": "producer or consumer."},
            text=(
                "Explain the bill of site {site}, a {agent}. Call that agent's statement and market skills. Name the "
                "intervals that cost most and why: trades, imbalance, fees. Money is in millionths of a cent."
            ),
        ),
    )
}
