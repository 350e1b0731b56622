"""Weather, load, generation and prices to come, and how good the forecasts were, for who asks over HTTP."""

from cloud.shell.skill_entry import entry

handler = entry(
    "weather-forecast",
    (
        "weather",
        "forecast",
        "demand",
        "forecast_broadcast",
        "forecast_score",
    ),
)
