"""What the emulator of the tests lacks: these are left out of a stack there, by name, and are proven by synth alone.

Source: MiniStack 1.5, by deploying the template.
"""

from typing import Any, Final

LACKS: Final = {
    "AWS::CloudWatch::CompositeAlarm": "no alarm made of alarms",
    "AWS::IoT::CustomMetric": "no Device Defender",
}
# What it takes and does not do: the forwarder of the tests plays it.
PLAYED: Final = {"AWS::IoT::TopicRule": "a rule does not forward to Kinesis"}


def without(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template without what the emulator lacks."""
    kept = {name: each for name, each in template["Resources"].items() if each["Type"] not in LACKS}
    return {**template, "Resources": kept}
