"""The operator on AWS, against moto's IoT."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cloud.errors import FleetDenied
from cloud.infra.fleet import CLAIM_POLICY, FLEET_POLICY, claim_policy, fleet_policy
from cloud.infra.fleet_operator import AwsFleet

REGION, ACCOUNT = "eu-central-1", "123456789012"


@pytest.fixture
def iot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with the fleet's policies, a registered gateway and a thing that is none of ours."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        client = boto3.client("iot")
        for name, policy in ((CLAIM_POLICY, claim_policy), (FLEET_POLICY, fleet_policy)):
            client.create_policy(policyName=name, policyDocument=json.dumps(policy(region=REGION, account=ACCOUNT)))
        client.create_thing(thingName="site-1", attributePayload={"attributes": {"serial": "sn-1", "zone": "zone-a"}})
        client.create_thing(thingName="lamp")
        made = client.create_keys_and_certificate(setAsActive=True)
        client.attach_policy(policyName=FLEET_POLICY, target=made["certificateArn"])
        client.attach_thing_principal(thingName="site-1", principal=made["certificateArn"])
        yield client


@pytest.fixture
def fleet(iot: Any) -> AwsFleet:
    """The operator's hands."""
    data = boto3.client("iot-data")
    shadow = json.dumps({"state": {"desired": {"period_s": 30}}})
    data.update_thing_shadow(thingName="site-1", shadowName="config", payload=shadow)
    return AwsFleet(iot, data)


def test_a_claim_has_the_claims_policy_and_can_be_revoked(fleet: AwsFleet, iot: Any) -> None:
    """A claim without its policy fails in the field, one that stays good fails later."""
    claim = fleet.create_claim(trusted_user=False)
    described = iot.describe_certificate(certificateId=claim.certificate_id)["certificateDescription"]
    attached = iot.list_attached_policies(target=described["certificateArn"])["policies"]
    assert [policy["policyName"] for policy in attached] == [CLAIM_POLICY]
    fleet.revoke_claim(claim.certificate_id)
    after = iot.describe_certificate(certificateId=claim.certificate_id)["certificateDescription"]
    assert after["status"] == "REVOKED"


def test_only_gateways_are_listed_and_one_is_shown_whole(fleet: AwsFleet) -> None:
    """An account holds other things too."""
    assert [(one.name, one.zone, one.serial) for one in fleet.gateways()] == [("site-1", "zone-a", "sn-1")]
    fleet.create_job("site-1", job_id="j1", document={"operation": "renew"})
    view = fleet.gateway("site-1")
    assert len(view.certificates) == 1
    assert view.shadows["config"]["state"]["desired"] == {"period_s": 30}
    assert [(job.id, job.state) for job in view.jobs] == [("j1", "QUEUED")]
    assert fleet.job("site-1", "j1").state == "QUEUED"


def test_after_a_rotation_only_the_new_certificate_is_good(fleet: AwsFleet, iot: Any) -> None:
    """A key that was renewed because it may have been copied must not go on opening the door."""
    (old,) = fleet.gateway("site-1").certificates
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName=FLEET_POLICY, target=made["certificateArn"])
    iot.attach_thing_principal(thingName="site-1", principal=made["certificateArn"])
    with pytest.raises(FleetDenied, match="nothing retired"):
        fleet.retire_certificates("site-1", keep="another")
    assert len(fleet.gateway("site-1").certificates) == 2
    assert fleet.retire_certificates("site-1", keep=made["certificateId"]) == 1
    assert fleet.gateway("site-1").certificates == (made["certificateId"],)
    assert iot.describe_certificate(certificateId=old)["certificateDescription"]["status"] == "REVOKED"


def test_a_decommissioned_gateway_leaves_no_way_in(fleet: AwsFleet, iot: Any) -> None:
    """Its certificate is revoked before anything else is taken away."""
    (certificate,) = fleet.gateway("site-1").certificates
    fleet.decommission("site-1")
    assert fleet.gateways() == []
    described = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
    assert described["status"] == "REVOKED"
    assert iot.list_attached_policies(target=described["certificateArn"])["policies"] == []


def test_what_the_service_refuses_is_said_in_its_words(fleet: AwsFleet) -> None:
    """The operator reads the service's own code."""
    with pytest.raises(FleetDenied, match="describe_thing") as refusal:
        fleet.gateway("nobody")
    assert refusal.value.code == "ResourceNotFoundException"


def test_a_wish_goes_into_the_shadow_under_a_version(fleet: AwsFleet) -> None:
    """By the version the operator knows which answer is to this wish."""
    version = fleet.want("site-1", "config", {"telemetry": {"period_s": 30}})
    shadow = fleet.gateway("site-1").shadows["config"]
    assert shadow["version"] == version
    assert shadow["state"]["desired"]["telemetry"] == {"period_s": 30}
    with pytest.raises(FleetDenied):
        fleet.want("nobody", "config", {})
