"""The fleet's policies and its provisioning template, as data; an AWS account and the stand-in are given the same.

One policy serves every gateway: what it may do is written with its thing's name and zone, which the broker fills in
from the registry, never from what a gateway says of itself. Sources: AWS IoT Core developer guide, "Thing policy
variables", "Connect policy examples" (last will and persistent sessions are granted by name), "Provisioning templates";
AWS IoT Core quotas (a policy document has at most 2048 characters without white space).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cloud.infra.rules import RULES
from contracts.topics import ROOT, Down, Up

TEMPLATE_NAME: Final = "sitewatt-gateway"
FLEET_POLICY: Final = "sitewatt-gateway"
CLAIM_POLICY: Final = "sitewatt-claim"
THING_GROUP: Final = "sitewatt-gateways"
CLAIM_CLIENT_PREFIX: Final = "claim-"
POLICY_CHARS_MAX: Final = 2048
# What gateways report to Device Defender, by name and type; an account has to know a metric before one reports it.
# Source: AWS IoT Core API reference, CreateCustomMetric.
DEFENDER_METRICS: Final = {"journal_depth": "number", "meter_silent_s": "number"}
HOOK_BUDGET_S: Final = 5.0  # Source: AWS IoT Core developer guide, pre-provisioning hooks.

_THING: Final = "${iot:Connection.Thing.ThingName}"
_ZONE: Final = "${iot:Connection.Thing.Attributes[zone]}"


class Way(StrEnum):
    """Which way a message goes, seen from the gateway."""

    SEND = "send"
    HEAR = "hear"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A permission on topics.

    ``resource`` is the policy's pattern (``*`` stands for anything, slashes too). ``filters`` say the same to a
    broker (``+`` for one level, ``#`` for the rest). Both name the thing as ``{thing}`` and its zone as ``{zone}``.
    """

    way: Way
    resource: str
    filters: tuple[str, ...]


_SITE: Final = f"{ROOT}/{{zone}}/{{thing}}"
_OWN: Final = "$aws/things/{thing}"
CSR_TOPIC: Final = "$aws/certificates/create-from-csr/json"
REGISTER_TOPIC: Final = f"$aws/provisioning-templates/{TEMPLATE_NAME}/provision/json"

CLAIM_GRANTS: Final[tuple[Grant, ...]] = (
    Grant(way=Way.SEND, resource=CSR_TOPIC, filters=(CSR_TOPIC,)),
    Grant(way=Way.SEND, resource=REGISTER_TOPIC, filters=(REGISTER_TOPIC,)),
    Grant(way=Way.HEAR, resource=f"{CSR_TOPIC}/*", filters=(f"{CSR_TOPIC}/#",)),
    Grant(way=Way.HEAR, resource=f"{REGISTER_TOPIC}/*", filters=(f"{REGISTER_TOPIC}/#",)),
)

FLEET_GRANTS: Final[tuple[Grant, ...]] = (
    # All channels of the site, at the broker; the policy denies those that speak to it.
    Grant(way=Way.SEND, resource=f"{_SITE}/*", filters=tuple(f"{_SITE}/{channel}" for channel in Up)),
    # The same, straight to their rules.
    Grant(
        way=Way.SEND,
        resource=f"$aws/rules/sitewatt_*/{_SITE}/*",
        filters=tuple(f"$aws/rules/{rule.name}/{_SITE}/{rule.channel}" for rule in RULES if rule.basic_ingest),
    ),
    # What the services of a thing listen to; they take a request only in their own form.
    Grant(way=Way.SEND, resource=f"{_OWN}/*", filters=(f"{_OWN}/#",)),
    Grant(
        way=Way.HEAR,
        resource=f"{_SITE}/*",
        filters=tuple(f"{_SITE}/{channel}" for channel in (*Down, *Up)),
    ),
    Grant(way=Way.HEAR, resource=f"{_OWN}/*", filters=(f"{_OWN}/#",)),
)

# Nobody speaks in the cloud's voice, wherever a topic begins (the document is short of room), and only the status stays
# at the broker. Within what is allowed above.
_NOT_SENT: Final = tuple(f"*/{channel}" for channel in Down)
_RETAINED: Final = f"{ROOT}/*/{Up.STATUS}"


def fleet_policy(*, region: str, account: str) -> dict[str, Any]:
    """Return the policy document of every gateway's certificate."""
    arn = _Arn(region, account)
    connect = {
        "Effect": "Allow",
        "Action": "iot:Connect",
        "Resource": arn("client", "{thing}"),
        "Condition": {
            "Bool": {"iot:Connection.Thing.IsAttached": "true"},
            "ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect", "LastWill"]},
        },
    }
    # A gateway renews its certificate by the path by which it got the first one. Request and answer in one pattern,
    # because the document is short of room.
    renewal = [arn(kind, f"{topic}*") for kind in ("topic", "topicfilter") for topic in (CSR_TOPIC, REGISTER_TOPIC)]
    return _document(
        connect,
        *_topics(FLEET_GRANTS, arn),
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Subscribe", "iot:Receive"], "Resource": renewal},
        {"Effect": "Allow", "Action": "iot:RetainPublish", "Resource": arn("topic", _RETAINED)},
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": [arn("topic", topic) for topic in _NOT_SENT]},
    )


def claim_policy(*, region: str, account: str) -> dict[str, Any]:
    """Return the policy document of a claim: ask for one certificate and register with it, nothing else.

    It covers ``create-from-csr``, which the published example does not: without it the request is never answered.
    """
    arn = _Arn(region, account)
    connect = {"Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client", f"{CLAIM_CLIENT_PREFIX}*")}
    return _document(connect, *_topics(CLAIM_GRANTS, arn))


def fleet_template() -> dict[str, Any]:
    """Return the body of the provisioning template.

    ``SiteId`` and ``Zone`` come from the hook's list of serials; what a gateway says of them is overridden.
    """
    names = ("SerialNumber", "KeyFingerprint", "Proof", "SiteId", "Zone", "AWS::IoT::Certificate::Id")
    return {
        "Parameters": {name: {"Type": "String"} for name in names},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "MERGE"},
                "Properties": {
                    "ThingName": {"Ref": "SiteId"},
                    "ThingGroups": [THING_GROUP],
                    "AttributePayload": {"serial": {"Ref": "SerialNumber"}, "zone": {"Ref": "Zone"}},
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "OverrideSettings": {"Status": "REPLACE"},
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "ACTIVE",
                    "ThingPrincipalType": "EXCLUSIVE_THING",
                },
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": FLEET_POLICY}},
        },
        "DeviceConfiguration": {"site": {"Ref": "SiteId"}, "zone": {"Ref": "Zone"}},
    }


def account_documents(*, region: str, account: str) -> dict[str, Any]:
    """Return all that an AWS account must hold before its first gateway, by the names that the commands expect."""
    return {
        "policies": {
            CLAIM_POLICY: claim_policy(region=region, account=account),
            FLEET_POLICY: fleet_policy(region=region, account=account),
        },
        "templates": {TEMPLATE_NAME: fleet_template()},
        "thing_groups": [THING_GROUP],
        "custom_metrics": dict(DEFENDER_METRICS),
    }


def filters_of(grants: tuple[Grant, ...], way: Way, *, thing: str, zone: str) -> tuple[str, ...]:
    """Return the topic filters that grants allow to one thing, one way."""
    return tuple(each.format(thing=thing, zone=zone) for grant in grants if grant.way is way for each in grant.filters)


class _Arn:
    """Names resources of one account in one region."""

    def __init__(self, region: str, account: str) -> None:
        self._prefix = f"arn:aws:iot:{region}:{account}:"

    def __call__(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}/{name.replace('{thing}', _THING).replace('{zone}', _ZONE)}"


def _topics(grants: tuple[Grant, ...], arn: _Arn) -> list[dict[str, Any]]:
    """Return the statements of grants. What may be received is bounded by what may be subscribed, so it is not named:
    the document is short of room."""
    sent = [arn("topic", grant.resource) for grant in grants if grant.way is Way.SEND]
    subscribed = [arn("topicfilter", grant.resource) for grant in grants if grant.way is Way.HEAR]
    return [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": sent},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": subscribed},
        {"Effect": "Allow", "Action": "iot:Receive", "Resource": "*"},
    ]


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
