"""What was traded, settled, billed and answered, for who asks over HTTP."""

from cloud.shell.skill_entry import entry

handler = entry(
    "historical-data",
    (
        "daily_report",
        "market_matching",
        "market_settlement",
        "market_statements",
        "market_estimates",
        "market_claims",
        "audit_log",
        "agent_proposals",
        "event_evidence",
        "producer_statement",
        "producer_responses",
        "consumer_statement",
        "consumer_responses",
    ),
)
