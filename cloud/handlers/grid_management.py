"""A feeder and what can be done for it: its state, studies, flexibility, requests, for who asks over HTTP."""

from cloud.shell.skill_entry import entry

handler = entry(
    "grid-management",
    (
        "grid_status",
        "relief_study",
        "coordinate",
        "producer_flexibility",
        "consumer_flexibility",
        "open_event",
        "close_event",
        "response_programme",
        "set_response_programme",
    ),
)
