"""What the emulator of the tests lacks: these are left out of a stack there, by name, and are proven by synth alone.

Source: MiniStack 1.5, by deploying the template.
"""

import json
from typing import Any, Final

_PLAIN: Final = "it is spoken to without TLS, which these policies refuse"
_TURNS: Final = "no CodeDeploy, and an alias calls one version: it turns to the new one at once"
# By type, or by type and a property that makes the difference.
LACKS: Final = {
    "AWS::CodeDeploy::Application": _TURNS,
    "AWS::CodeDeploy::DeploymentGroup": _TURNS,
    "AWS::Backup::BackupSelection": "a plan covers nothing",
    "AWS::CloudWatch::Alarm/ThresholdMetricId": "no alarm of what is usual",
    "AWS::CloudWatch::CompositeAlarm": "no alarm made of alarms",
    "AWS::IoT::CustomMetric": "no Device Defender",
    "AWS::S3::BucketPolicy": _PLAIN,
    "AWS::SQS::QueuePolicy": _PLAIN,
    "AWS::SNS::TopicPolicy": _PLAIN,
}
# What it takes and does not do: the forwarder of the tests plays it.
PLAYED: Final = {"AWS::IoT::TopicRule": "a rule does not forward to Kinesis"}


def without(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template without what the emulator lacks, without waiting for it, and with names as it gives them."""
    kept = {
        name: {part: value for part, value in each.items() if part != "UpdatePolicy"}  # Only CodeDeploy's.
        for name, each in template["Resources"].items()
        if not _lacks(each)
    }
    secrets = [name for name, each in kept.items() if each["Type"] == "AWS::SecretsManager::Secret"]
    return {
        **template,
        "Resources": {name: _named(_waiting_for(each, kept), secrets) for name, each in kept.items()},
    }


def _lacks(resource: dict[str, Any]) -> bool:
    kind = resource["Type"]
    return kind in LACKS or any(f"{kind}/{name}" in LACKS for name in resource.get("Properties", {}))


def _waiting_for(resource: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    if "DependsOn" not in resource:
        return resource
    told = resource["DependsOn"]
    names = [name for name in ([told] if isinstance(told, str) else told) if name in there]
    rest = {key: value for key, value in resource.items() if key != "DependsOn"}
    return {**rest, **({"DependsOn": names} if names else {})}


def _named(resource: dict[str, object], secrets: list[str]) -> dict[str, object]:
    """Return a policy with the ARN of a secret where it says ``Ref``, which is the ARN on AWS and its name there."""
    if resource["Type"] != "AWS::IAM::Policy":
        return resource
    text = json.dumps(resource)
    for name in secrets:
        arn = f"arn:aws:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:${{{name}}}*"
        text = text.replace(json.dumps({"Ref": name}), json.dumps({"Fn::Sub": arn}))
    named: dict[str, object] = json.loads(text)
    return named
