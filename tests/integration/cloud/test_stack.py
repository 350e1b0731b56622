"""The stack on AWS says what the definitions say: the template is built once, linted, and read back."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloud.cost import keeping
from cloud.cost.headroom import capacity_for
from cloud.infra.deployment.emulator import LACKS, without
from cloud.infra.fleet import FLEET_POLICY, POLICY_CHARS_MAX, TEMPLATE_NAME, fleet_template
from cloud.infra.functions import ASKED, FUNCTIONS, FunctionDefinition
from cloud.infra.rules import CONSUMERS, RULES, SCHEDULES, Carrier
from cloud.infra.stack.app import StackSettings
from cloud.infra.stack.door import RATE_PER_S, routes
from cloud.infra.tables import TABLES
from cloud.stores.features import Features, features_of
from cloud.stores.lake import RawSample, folder_key
from cloud.stores.parquet import encode
from cloud.stores.tables import INDEX
from domain.one_thread import ONE_THREAD

Resource = dict[str, Any]
ISSUER = "https://login.example.org/market"
SITES = 10_000
BUDGET_USD = 1_500
LINT_ERRORS = 2  # The bit of an exit code. Source: cfn-lint, exit codes.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stack as an operator does; a finding that is not explained ends it with 1."""
    out = tmp_path_factory.mktemp("stack")
    options = ("--backups", "--private-network", "--guards", "--budget", str(BUDGET_USD))
    arguments = ["--out", str(out), "--token-issuer", ISSUER, "--for-sites", str(SITES), *options, "--json"]
    command = [sys.executable, "-m", "sitewatt", "cloud", "synth", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["resources"] > len(FUNCTIONS)
    return out


@pytest.fixture(scope="module")
def resources(folder: Path) -> dict[str, Resource]:
    """Return the resources of the template."""
    template = json.loads((folder / "sitewatt.template.json").read_text())
    found: dict[str, Resource] = template["Resources"]
    return found


def _lint(template: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--template", str(template)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _of(resources: dict[str, Resource], kind: str) -> list[Resource]:
    return [each["Properties"] for each in resources.values() if each["Type"] == kind]


def _role_statements(resources: dict[str, Resource], definition: FunctionDefinition) -> list[Resource]:
    name = f"role{definition.name.replace('-', '')}DefaultPolicy"
    policy = next(each for key, each in resources.items() if key.startswith(name))
    statements: list[Resource] = policy["Properties"]["PolicyDocument"]["Statement"]
    return statements


def test_the_linter_of_templates_finds_no_error(folder: Path) -> None:
    """Warnings stay warnings: the dependencies that the kit writes twice, a legacy property of its log bucket."""
    done = _lint(folder / "sitewatt.template.json")
    assert not done.returncode & LINT_ERRORS, done.stdout
    assert {line[:5] for line in done.stdout.splitlines() if line[:1] == "W"} == {"W3005", "W3045"}, done.stderr


def test_the_linter_of_templates_finds_a_planted_error(tmp_path: Path) -> None:
    """A linter that does not even start finds no error either."""
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": {"queue": {"Type": "AWS::SQS::Queue", "Properties": {"Wrong": 1}}}}))
    done = _lint(path)
    assert done.returncode & LINT_ERRORS and "E3002" in done.stdout


def test_every_table_is_there_as_it_is_defined(resources: dict[str, Resource]) -> None:
    """Keys, index, recovery, protection, time to live."""
    made = {each["TableName"]: each for each in _of(resources, "AWS::DynamoDB::GlobalTable")}
    assert made.keys() == {f"sitewatt-{definition.table.value}" for definition in TABLES}
    for definition in TABLES:
        table = made[f"sitewatt-{definition.table.value}"]
        assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
        assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == [INDEX]
        assert ("TimeToLiveSpecification" in table) is definition.expires
        replica = table["Replicas"][0]
        assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is definition.recovery
        assert replica["DeletionProtectionEnabled"] is definition.protected


def test_a_large_fleets_tables_hold_ready_what_the_bill_says(resources: dict[str, Resource]) -> None:
    """Never more, or the bill is wrong; what they refuse is told."""
    made = {each["TableName"].removeprefix("sitewatt-"): each for each in _of(resources, "AWS::DynamoDB::GlobalTable")}
    wanted = capacity_for(SITES)
    assert {name for name, table in made.items() if table["BillingMode"] == "PROVISIONED"} == set(wanted)
    alarms = [
        each for each in _of(resources, "AWS::CloudWatch::Alarm") if "ThrottleEvents" in each.get("MetricName", "")
    ]
    assert len(alarms) == 3 * len(wanted)
    for name, capacity in wanted.items():
        table = made[name]
        index, replica = table["GlobalSecondaryIndexes"][0], table["Replicas"][0]
        reads = (replica, replica["GlobalSecondaryIndexes"][0])
        writes = [
            each["WriteProvisionedThroughputSettings"]["WriteCapacityAutoScalingSettings"] for each in (table, index)
        ]
        read = [each["ReadProvisionedThroughputSettings"]["ReadCapacityAutoScalingSettings"] for each in reads]
        assert [each["MaxCapacity"] for each in writes] == [capacity.writes, capacity.index_writes]
        assert [each["MaxCapacity"] for each in read] == [capacity.reads, capacity.index_reads]


def test_every_rule_forwards_as_the_private_cloud_does(resources: dict[str, Resource]) -> None:
    """The same statement and partition key, and what cannot be forwarded is set aside."""
    made = {each["RuleName"]: each["TopicRulePayload"] for each in _of(resources, "AWS::IoT::TopicRule")}
    assert made.keys() == {rule.name for rule in RULES}
    for rule in RULES:
        assert made[rule.name]["Sql"] == rule.sql
        assert made[rule.name]["Actions"][0]["Kinesis"]["PartitionKey"] == rule.partition_key
        assert "Sqs" in made[rule.name]["ErrorAction"]


def test_every_consumer_reads_as_it_is_defined(resources: dict[str, Resource]) -> None:
    """Filters, batches, bisection, and a place for a record that fails to the end."""
    made = _of(resources, "AWS::Lambda::EventSourceMapping")
    assert len(made) == len(CONSUMERS)
    for consumer in CONSUMERS:
        wanted = consumer.event_source
        fits = [each for each in made if all(each.get(name) == value for name, value in wanted.items())]
        assert fits, consumer
        assert all("OnFailure" in each["DestinationConfig"] for each in fits)


def test_every_function_has_a_definition_and_every_use_of_one_a_function(resources: dict[str, Resource]) -> None:
    """A handler that nobody deploys is as good as none."""
    made = {each["Handler"] for each in _of(resources, "AWS::Lambda::Function")}
    assert made == {definition.entry for definition in FUNCTIONS}
    used = {each.handler for each in CONSUMERS} | {each.handler for each in SCHEDULES}
    assert used <= {definition.handler for definition in FUNCTIONS}


@pytest.mark.parametrize("definition", FUNCTIONS, ids=[each.name for each in FUNCTIONS])
def test_a_role_holds_its_definition_and_no_more(
    resources: dict[str, Resource], definition: FunctionDefinition
) -> None:
    """Tables that it does not use, the key that it does not sign with and topics that it is silent on stay closed."""
    statements = _role_statements(resources, definition)
    actions = {action for each in statements for action in _list(each["Action"])}
    assert not any(action == "*" or action.endswith(":*") for action in actions)
    text = json.dumps([each for each in statements if any("dynamodb" in action for action in _list(each["Action"]))])
    granted = {each.table for each in TABLES if f"table{each.table.value.replace('-', '')}" in text}
    assert granted == {*definition.reads, *definition.writes}
    assert ("secretsmanager:GetSecretValue" in actions) is definition.signs
    assert ("iot:Publish" in actions) is bool(definition.speaks)
    assert ("s3:PutObject" in actions) is definition.lake


def test_the_fleet_meets_what_the_private_fleet_answers(resources: dict[str, Resource]) -> None:
    """The same provisioning template and policies, within the account's bound."""
    template = _of(resources, "AWS::IoT::ProvisioningTemplate")[0]
    assert template["TemplateName"] == TEMPLATE_NAME
    assert json.loads(template["TemplateBody"]) == fleet_template()
    assert "PreProvisioningHook" in template
    policy = next(each for each in _of(resources, "AWS::IoT::Policy") if each["PolicyName"] == FLEET_POLICY)
    assert len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) > POLICY_CHARS_MAX / 4


def test_every_route_of_the_door_asks_for_a_token_of_the_one_issuer(resources: dict[str, Resource]) -> None:
    """A route without one would answer anybody; each leads to the alias of its own function."""
    found = _of(resources, "AWS::ApiGatewayV2::Route")
    assert {each["RouteKey"] for each in found} == {key for each in ASKED for key in routes(each)}
    assert {each["AuthorizationType"] for each in found} == {"JWT"} and all("AuthorizerId" in each for each in found)
    (keeper,) = _of(resources, "AWS::ApiGatewayV2::Authorizer")
    assert keeper["JwtConfiguration"] == {"Issuer": ISSUER, "Audience": ["sitewatt"]}
    (stage,) = _of(resources, "AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == RATE_PER_S
    assert "AccessLogSettings" in stage and "body" not in stage["AccessLogSettings"]["Format"]
    assert len(_of(resources, "AWS::ApiGatewayV2::Integration")) == len(ASKED)
    called = [each for each in _of(resources, "AWS::Lambda::Permission") if "execute-api" in json.dumps(each)]
    assert len(called) == len(ASKED)


def test_every_alias_is_turned_gradually_and_back_where_the_new_version_fails(resources: dict[str, Resource]) -> None:
    """Its alarm looks at the version that the same change publishes, or a repair of a failing one could never come."""
    groups = {name: each for name, each in resources.items() if each["Type"] == "AWS::CodeDeploy::DeploymentGroup"}
    aliases = [each for each in resources.values() if each["Type"] == "AWS::Lambda::Alias"]
    assert len(groups) == len(aliases) == len(FUNCTIONS)
    for alias in aliases:
        turned_by = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        group = groups.pop(turned_by)["Properties"]
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent10Minutes"
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert group["AlarmConfiguration"]["Enabled"]
        (named,) = group["AlarmConfiguration"]["Alarms"]
        alarm = resources[named["Name"]["Ref"]]["Properties"]
        looks_at = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        assert looks_at["ExecutedVersion"] == alias["Properties"]["FunctionVersion"]
        assert looks_at["FunctionName"] == alias["Properties"]["FunctionName"]
        assert (alarm["MetricName"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Errors", 1, 1)


def test_switches_are_read_by_the_one_function_that_says_so_and_taken_back_where_it_fails(
    resources: dict[str, Resource],
) -> None:
    """AppConfig refuses a name that the code does not know, and a change of the stack switches nothing on again."""
    (reader,) = (each for each in FUNCTIONS if each.features)
    told = {each["FunctionName"]: each["Environment"]["Variables"] for each in _of(resources, "AWS::Lambda::Function")}
    assert all(ONE_THREAD.items() <= said.items() for said in told.values())
    assert [name for name, said in told.items() if "SITEWATT_FEATURES" in said] == [f"sitewatt-{reader.name}"]
    granted = [each for each in _role_statements(resources, reader) if "appconfig" in json.dumps(each["Action"])]
    (grant,) = granted
    assert "/configuration/" in json.dumps(grant["Resource"]) and "*" not in json.dumps(grant["Resource"])
    (profile,) = _of(resources, "AWS::AppConfig::ConfigurationProfile")
    schema = json.loads(profile["Validators"][0]["Content"])
    assert [*schema["properties"]] == [*Features.model_fields] and schema["additionalProperties"] is False
    (environment,) = _of(resources, "AWS::AppConfig::Environment")
    alarm = resources[environment["Monitors"][0]["AlarmArn"]["Fn::GetAtt"][0]]["Properties"]
    assert {each["Value"] for each in alarm["Dimensions"]} == {f"sitewatt-{reader.name}"}
    (first,) = _of(resources, "AWS::AppConfig::HostedConfigurationVersion")
    assert features_of(first["Content"], where="the template") == Features()


def test_what_is_asked_of_the_lake_is_what_its_files_hold(resources: dict[str, Resource]) -> None:
    """Columns and folders are those that are written; a query reads no more than is meant to be paid for."""
    (table,) = (each["TableInput"] for each in _of(resources, "AWS::Glue::Table"))
    told = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    sample = RawSample(site="a", epoch=1, seq=1, point="p", at=datetime(2026, 3, 1, tzinfo=UTC), value=1.0, quality="q")
    written = pq.read_schema(BytesIO(encode([sample])))
    assert [*told] == written.names
    kinds = {"string": pa.types.is_dictionary, "bigint": pa.types.is_int64, "double": pa.types.is_float64}
    kinds["timestamp"] = pa.types.is_timestamp
    assert all(kinds[kind](written.field(name).type) for name, kind in told.items())
    assert [each["Name"] for each in table["PartitionKeys"]] == ["zone", "day"]
    template = json.dumps(table["Parameters"]["storage.location.template"])
    assert folder_key(zone="${zone}", day=sample.at).replace("2026-03-01", "${day}") in template
    (group,) = (each["WorkGroupConfiguration"] for each in _of(resources, "AWS::Athena::WorkGroup"))
    assert group["EnforceWorkGroupConfiguration"] and group["BytesScannedCutoffPerQuery"] > 0
    assert "EncryptionConfiguration" in group["ResultConfiguration"]


def test_the_bill_counts_every_alarm_and_key(resources: dict[str, Resource]) -> None:
    """Those of tables that refuse are on the bill of their capacity; a band counts as three."""
    alarms = [
        each for each in _of(resources, "AWS::CloudWatch::Alarm") if "ThrottleEvents" not in each.get("MetricName", "")
    ]
    bands = sum("ThresholdMetricId" in each for each in alarms)
    assert (len(alarms) - bands, 3 * bands) == (keeping.ALARMS, keeping.ODD_ALARMS)
    assert len(_of(resources, "AWS::KMS::Key")) == keeping.KEYS


def test_copies_that_outlive_recovery_are_of_the_protected_tables(resources: dict[str, Resource]) -> None:
    """An option: each is a whole copy that is paid for."""
    (selection,) = _of(resources, "AWS::Backup::BackupSelection")
    covered = json.dumps(selection["BackupSelection"]["Resources"])
    for definition in TABLES:
        assert (f"table{definition.table.value.replace('-', '')}" in covered) is definition.protected
    (plan,) = _of(resources, "AWS::Backup::BackupPlan")
    (rule,) = plan["BackupPlan"]["BackupPlanRule"]
    assert rule["Lifecycle"]["DeleteAfterDays"] > 35


def test_functions_in_a_network_reach_what_they_are_granted_and_no_internet(resources: dict[str, Resource]) -> None:
    """Endpoints stand for each service that they call; the one that asks for the weather stays outside."""
    made = _of(resources, "AWS::Lambda::Function")
    outside = {each["FunctionName"] for each in made if "VpcConfig" not in each}
    assert outside == {f"sitewatt-{each.name}" for each in FUNCTIONS if each.asks_internet} != set()
    kinds = {each["Type"] for each in resources.values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"}
    names = json.dumps([each["ServiceName"] for each in _of(resources, "AWS::EC2::VPCEndpoint")])
    assert all(service in names for service in ("dynamodb", "s3", "secretsmanager", "xray", "iot.data"))
    paid = [each for each in _of(resources, "AWS::EC2::VPCEndpoint") if each["VpcEndpointType"] == "Interface"]
    assert sum(len(each["SubnetIds"]) for each in paid) == keeping.ENDPOINTS
    (zone,) = _of(resources, "AWS::Route53::HostedZone")
    assert zone["Name"] == "data-ats.iot.eu-central-1.amazonaws.com."
    assert {json.dumps(each["AvailabilityZone"]) for each in _of(resources, "AWS::EC2::Subnet")} == {
        json.dumps({"Fn::Select": [number, {"Fn::GetAZs": ""}]}) for number in (0, 1)
    }
    (rule,) = _of(resources, "AWS::EC2::SecurityGroupIngress")
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443) and "SourceSecurityGroupId" in rule


def test_guards_of_an_account_write_where_nobody_else_may(resources: dict[str, Resource]) -> None:
    """Trail, recorder and detector, as an option: an account has each once."""
    assert not (StackSettings().guards or StackSettings().private_network or StackSettings().budget_usd)
    (trail,) = _of(resources, "AWS::CloudTrail::Trail")
    assert trail["EnableLogFileValidation"] and trail["IsMultiRegionTrail"] and trail["IsLogging"]
    (recorder,) = _of(resources, "AWS::Config::ConfigurationRecorder")
    assert recorder["RecordingGroup"]["AllSupported"]
    (channel,) = _of(resources, "AWS::Config::DeliveryChannel")
    assert channel["S3BucketName"] == trail["S3BucketName"]
    (detector,) = _of(resources, "AWS::GuardDuty::Detector")
    assert detector["Enable"]


def test_what_is_odd_and_what_is_dear_is_told_where_alarms_are(resources: dict[str, Resource]) -> None:
    """Each stream has an alarm of what is usual; the topic and its key let in those who speak on it."""
    odd = [each for each in _of(resources, "AWS::CloudWatch::Alarm") if "ThresholdMetricId" in each]
    streams = {json.dumps(each["Metrics"]).count("IncomingRecords") for each in odd}
    assert len(odd) == len(Carrier) and streams == {1}
    for alarm in odd:
        bands = [each["Expression"] for each in alarm["Metrics"] if each["Id"] == alarm["ThresholdMetricId"]]
        assert bands[0].startswith("ANOMALY_DETECTION_BAND(") and "FILL(" in json.dumps(alarm["Metrics"])
    (budget,) = _of(resources, "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": BUDGET_USD, "Unit": "USD"}
    (topic,) = (name for name, each in resources.items() if each["Type"] == "AWS::SNS::Topic")
    told = [each["Address"] for notice in budget["NotificationsWithSubscribers"] for each in notice["Subscribers"]]
    assert told == [{"Ref": topic}] * 2
    assert {json.dumps(each["AlarmActions"]) for each in odd} == {json.dumps([{"Ref": topic}])}
    (policy,) = _of(resources, "AWS::SNS::TopicPolicy")
    key = resources[resources[topic]["Properties"]["KmsMasterKeyId"]["Fn::GetAtt"][0]]["Properties"]["KeyPolicy"]
    for document in (policy["PolicyDocument"], key):
        for service in ("cloudwatch.amazonaws.com", "budgets.amazonaws.com"):
            allowed = [
                each
                for each in document["Statement"]
                if each["Effect"] == "Allow" and each["Principal"] == {"Service": service}
            ]
            assert allowed and all("aws:SourceAccount" in json.dumps(each["Condition"]) for each in allowed)


def test_an_emulator_is_given_no_alarm_that_it_cannot_judge(folder: Path) -> None:
    """What it lacks is left out by type, or by the property that makes the difference; nothing waits for it."""
    template = json.loads((folder / "sitewatt.template.json").read_text())
    kept = without(template)["Resources"]
    gone = template["Resources"].keys() - kept.keys()
    kinds = {template["Resources"][name]["Type"] for name in gone}
    assert (
        {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"}
        <= kinds
        <= {each.partition("/")[0] for each in LACKS}
    )
    alarms = [each["Properties"] for each in kept.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) > len(FUNCTIONS) and all("Threshold" in each for each in alarms)
    assert not any(name in json.dumps(each.get("DependsOn", "")) for each in kept.values() for name in gone)


def test_no_secret_is_in_the_template(resources: dict[str, Resource]) -> None:
    """The signing key is put by a command; the template makes a place for it."""
    assert "PRIVATE KEY" not in json.dumps(resources)
    assert all("SecretString" not in each for each in _of(resources, "AWS::SecretsManager::Secret"))


def test_functions_that_keep_no_raw_samples_do_not_import_their_library(tmp_path: Path) -> None:
    """It is 160 MB: a bundle without it failed at its first call."""
    script = (
        "import sys; from cloud.stores.setup import open_stores; "
        f"open_stores({{'SITEWATT_STORE': 'sqlite:///{tmp_path}/tables.db'}}); "
        "open_stores({'SITEWATT_STORE': 'dynamodb', 'SITEWATT_TABLE_PREFIX': 'p-', 'SITEWATT_LAKE_BUCKET': 'b'}); "
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"AWS_DEFAULT_REGION": "eu-central-1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
