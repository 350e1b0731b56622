"""What the cloud's functions count of their work, by one list: CloudWatch metrics on AWS, ``/metrics`` here.

A counter has one name in both places, in the form of Prometheus. Source: Prometheus, "Metric and label naming".
"""

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "sitewatt"
DIMENSION: Final = "service"  # Powertools' word for the function.


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One counter: its name, and what it counts."""

    name: str
    says: str


RECORDS: Final = Figure(name="sitewatt_records_total", says="Records that a function was given.")
RECORDS_FAILED: Final = Figure(name="sitewatt_records_failed_total", says="Records that must be delivered again.")
REFUSED: Final = Figure(name="sitewatt_messages_refused_total", says="Messages that broke their form or a bound.")
REPEATED: Final = Figure(name="sitewatt_messages_repeated_total", says="Messages that had come before.")
SAMPLES: Final = Figure(name="sitewatt_samples_total", says="Raw samples written to the lake.")
ORDERS: Final = Figure(name="sitewatt_order_replies_total", says="Answers of the market to orders.")
TRADES: Final = Figure(name="sitewatt_trades_total", says="Trades.")
LEDGER_LINES: Final = Figure(name="sitewatt_ledger_lines_total", says="Lines of the ledger.")
SETTLEMENTS: Final = Figure(name="sitewatt_settlements_total", says="Settlements of a site's interval.")
READINGS_HELD: Final = Figure(name="sitewatt_readings_held_total", says="Readings held as implausible.")
CLAIMS_WAITING: Final = Figure(name="sitewatt_claims_waiting_total", says="Claims that came to wait for a person.")
WRITER_RACES: Final = Figure(
    name="sitewatt_writer_races_total", says="Times that another writer of a market was first."
)
COMMANDS: Final = Figure(name="sitewatt_commands_total", says="Commands to sites, signed and sent.")
FORECASTS: Final = Figure(name="sitewatt_forecasts_total", says="Forecasts that were issued.")
SKILLS: Final = Figure(name="sitewatt_skills_asked_total", says="Questions to an agent's skill.")
COLD_STARTS: Final = Figure(name="sitewatt_cold_starts_total", says="First calls of a process.")

FIGURES: Final[tuple[Figure, ...]] = (
    RECORDS, RECORDS_FAILED, REFUSED, REPEATED, SAMPLES, ORDERS, TRADES, LEDGER_LINES, SETTLEMENTS, READINGS_HELD,
    CLAIMS_WAITING, WRITER_RACES, COMMANDS, FORECASTS, SKILLS, COLD_STARTS,
)  # fmt: skip
