"""The market as it trades: intervals, prices, orders, and each site's own, for who asks over HTTP."""

from cloud.shell.skill_entry import entry

handler = entry(
    "trading-api",
    (
        "market_status",
        "price_discovery",
        "market_orders",
        "market_health",
        "market_rules",
        "join_requests",
        "producer_status",
        "producer_market",
        "producer_battery_plan",
        "consumer_status",
        "consumer_market",
        "consumer_battery_plan",
        "consumer_load_schedule",
    ),
)
