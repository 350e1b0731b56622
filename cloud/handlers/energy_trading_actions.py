"""What changes the market or offers to the grid, each with a key, for who asks over HTTP."""

from cloud.shell.skill_entry import entry

handler = entry(
    "energy-trading-actions",
    (
        "halt_market",
        "resume_market",
        "decide_claim",
        "join_market",
        "decide_join",
        "propose_act",
        "decide_proposal",
        "set_market_parameters",
        "producer_response_offer",
        "consumer_response_offer",
        "producer_bid",
        "consumer_bid",
    ),
)
