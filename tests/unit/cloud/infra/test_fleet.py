"""The policies as the service would judge them, and the stand-in's rules judged beside them."""

import itertools
import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from cloud.infra.fleet import (
    CLAIM_GRANTS,
    FLEET_GRANTS,
    POLICY_CHARS_MAX,
    Way,
    claim_policy,
    filters_of,
    fleet_policy,
    fleet_template,
)
from contracts.topics import Broadcast, Down, Up

REGION, ACCOUNT = "ap-southeast-2", "123456789012"
ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}:"
THING, ZONE = "site-1", "zone-a"
CSR = "$aws/certificates/create-from-csr/json"
REGISTER = "$aws/provisioning-templates/sitewatt-gateway/provision/json"

SITES = [f"sitewatt/v1/{zone}/{site}" for zone in (ZONE, "zone-b") for site in (THING, "site-2")]
CHANNELS = [f"{site}/{channel}" for site in SITES for channel in (*Up, *Down)]
INGEST = [f"$aws/rules/sitewatt_{channel}/{site}/{channel}" for site in SITES for channel in Up if channel != "status"]
BROADCASTS = [f"sitewatt/v1/{zone}/broadcast/{channel}" for zone in (ZONE, "zone-b") for channel in Broadcast]
SERVICES = [
    f"$aws/things/{thing}/{rest}"
    for thing in (THING, "site-2")
    for rest in ("shadow/name/config/get", "shadow/name/limits/update", "jobs/$next/get", "jobs/j1/update")
]
PROVISIONING = [CSR, REGISTER]
TOPICS = [*CHANNELS, *INGEST, *BROADCASTS, *SERVICES, *PROVISIONING]


def allowed(policy: dict[str, Any], action: str, resource: str) -> bool:
    """Judge as the service does: a denial outweighs what is allowed."""
    effects = set()
    for statement in policy["Statement"]:
        actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
        filled = [
            each.replace("${iot:Connection.Thing.ThingName}", THING).replace(
                "${iot:Connection.Thing.Attributes[zone]}", ZONE
            )
            for each in resources
        ]
        if action in actions and any(fnmatchcase(ARN + resource, each) for each in filled):
            effects.add(statement["Effect"])
    return effects == {"Allow"}


def matches(topic_filter: str, topic: str) -> bool:
    """Say whether a broker's filter covers a topic."""
    pattern = re.escape(topic_filter).replace(r"\+", "[^/]+").replace(r"\#", ".+").replace("\\#", ".+")
    return re.fullmatch(pattern.replace("#", ".+"), topic) is not None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


FLEET = fleet_policy(region=REGION, account=ACCOUNT)
CLAIM = claim_policy(region=REGION, account=ACCOUNT)


@pytest.mark.parametrize("policy", [FLEET, CLAIM])
def test_a_policy_fits_the_service(policy: dict[str, Any]) -> None:
    """A policy that is too long is refused on the day of the deployment."""
    assert len(json.dumps(policy, separators=(",", ":"))) <= POLICY_CHARS_MAX


def test_the_claim_may_ask_by_signing_request_and_nothing_else() -> None:
    """The published example forgets create-from-csr, and the request then hangs without an error."""
    sent = {topic for topic in TOPICS if allowed(CLAIM, "iot:Publish", f"topic/{topic}")}
    assert sent == set(PROVISIONING)
    for topic, answer in itertools.product(PROVISIONING, ("accepted", "rejected")):
        assert allowed(CLAIM, "iot:Subscribe", f"topicfilter/{topic}/{answer}")
        assert allowed(CLAIM, "iot:Receive", f"topic/{topic}/{answer}")
    assert not allowed(CLAIM, "iot:Subscribe", "topicfilter/sitewatt/v1/#")
    assert not allowed(CLAIM, "iot:Publish", "topic/$aws/certificates/create/json")


def test_a_claim_connects_only_under_its_prefix() -> None:
    """A claim that may take any client id throws any gateway out."""
    assert allowed(CLAIM, "iot:Connect", "client/claim-sn-0001")
    assert not allowed(CLAIM, "iot:Connect", f"client/{THING}")


def test_a_gateway_connects_only_as_its_own_thing() -> None:
    """The client id is how the cloud knows a site; one that is not attached to the certificate stays out."""
    assert allowed(FLEET, "iot:Connect", f"client/{THING}")
    assert not allowed(FLEET, "iot:Connect", "client/site-2")
    (connect,) = (one for one in FLEET["Statement"] if one["Action"] == "iot:Connect")
    assert connect["Condition"]["Bool"] == {"iot:Connection.Thing.IsAttached": "true"}
    granted = connect["Condition"]["ForAllValues:StringEquals"]["iot:ConnectAttributes"]
    assert granted == ["PersistentConnect", "LastWill"]


def test_a_gateway_speaks_for_itself_only() -> None:
    """Telemetry, orders and evidence of another site, and the cloud's own voice, are out of reach."""
    sent = {topic for topic in TOPICS if allowed(FLEET, "iot:Publish", f"topic/{topic}")}
    own = {f"sitewatt/v1/{ZONE}/{THING}/{channel}" for channel in Up}
    ingest = {f"$aws/rules/sitewatt_{each}/sitewatt/v1/{ZONE}/{THING}/{each}" for each in Up if each != "status"}
    services = {topic for topic in SERVICES if THING in topic}
    assert sent == own | ingest | services | set(PROVISIONING)


def test_a_gateway_hears_its_own_only() -> None:
    """Neither a neighbour's commands nor everything at once; what it needs of its zone is told to it by itself."""
    heard = {topic for topic in TOPICS if allowed(FLEET, "iot:Subscribe", f"topicfilter/{topic}")}
    assert {topic for topic in heard if topic.startswith("sitewatt/")} == {
        *(topic for topic in CHANNELS if topic.startswith(f"sitewatt/v1/{ZONE}/{THING}/")),
    }
    for greedy in ("#", "sitewatt/v1/#", f"sitewatt/v1/{ZONE}/+/commands", "$aws/things/#"):
        assert not allowed(FLEET, "iot:Subscribe", f"topicfilter/{greedy}")


def test_the_stand_ins_rules_send_what_the_policy_lets_send() -> None:
    """What works at a desk must work in the account, and what the account refuses must fail at the desk."""
    for policy, grants in ((FLEET, (*FLEET_GRANTS, *CLAIM_GRANTS)), (CLAIM, CLAIM_GRANTS)):
        filters = filters_of(grants, Way.SEND, thing=THING, zone=ZONE)
        for topic in TOPICS:
            by_policy = allowed(policy, "iot:Publish", f"topic/{topic}")
            assert by_policy == any(matches(each, topic) for each in filters), topic


def test_the_stand_ins_rules_hear_what_the_policy_lets_subscribe() -> None:
    """As above, for what is heard."""
    heard = [*CHANNELS, *BROADCASTS, *SERVICES, f"{CSR}/accepted", f"{REGISTER}/rejected"]
    for policy, grants in ((FLEET, (*FLEET_GRANTS, *CLAIM_GRANTS)), (CLAIM, CLAIM_GRANTS)):
        filters = filters_of(grants, Way.HEAR, thing=THING, zone=ZONE)
        for topic in heard:
            by_policy = allowed(policy, "iot:Subscribe", f"topicfilter/{topic}")
            assert by_policy == any(matches(each, topic) for each in filters), topic


def test_the_template_refers_to_its_parameters_only() -> None:
    """A reference to nothing is found by the first gateway otherwise."""
    template = fleet_template()
    text = json.dumps(template)
    assert set(re.findall(r'{"Ref": "([^"]+)"}', text)) <= set(template["Parameters"])
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert kinds == {"AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy"}
    assert "OverrideSettings" not in template["Resources"]["policy"]
