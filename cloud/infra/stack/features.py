"""The switches of the stack: an AppConfig configuration that functions read, in the form of the private cloud's file.

AppConfig refuses what is not of that form. A new version is in force at once and watched for ten minutes: where the
function that reads it fails meanwhile, AppConfig goes back to the version before by itself.

Source: AWS AppConfig user guide, "Monitoring deployments for automatic rollback", "Understanding validators".
"""

import json
from dataclasses import dataclass
from typing import Final

from aws_cdk import Aws, CfnOutput, Stack
from aws_cdk import aws_appconfig as appconfig
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam

from contracts.features import Feature

BAKE_MINUTES: Final = 10
ACTIONS: Final = ("appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration")
SCHEMA: Final = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "additionalProperties": False,
    "properties": {each.value: {"type": "boolean"} for each in Feature},
}


@dataclass(frozen=True, kw_only=True)
class Switchboard:
    """Where the switches lie, as a function is told, and the ARN that it may read."""

    application: appconfig.CfnApplication
    environment: appconfig.CfnEnvironment
    profile: appconfig.CfnConfigurationProfile

    @property
    def place(self) -> str:
        """Return application, environment and profile."""
        return f"{self.application.ref}/{self.environment.ref}/{self.profile.ref}"

    @property
    def arn(self) -> str:
        """Return the resource that a reader is granted."""
        where = f"arn:{Aws.PARTITION}:appconfig:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        return (
            f"{where}:application/{self.application.ref}/environment/{self.environment.ref}"
            f"/configuration/{self.profile.ref}"
        )


def switchboard(stack: Stack, *, reader: str, prefix: str) -> Switchboard:
    """Add the switches to a stack, all on; a change of the stack leaves alone what the operator has switched since.

    Args:
        stack: Where.
        reader: The name of the function that reads them, whose failures take a change back.
        prefix: Stands before the name of each resource.
    """
    application = appconfig.CfnApplication(stack, "features", name=f"{prefix}features")
    failing = cloudwatch.Metric(
        namespace="AWS/Lambda", metric_name="Errors", dimensions_map={"FunctionName": reader}, statistic="Sum"
    ).create_alarm(
        stack,
        "alarm-features",
        alarm_description="what reads the features fails: a change of them is taken back",
        threshold=1,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    role = iam.Role(stack, "role-features", assumed_by=iam.ServicePrincipal("appconfig.amazonaws.com"))
    # Source: AppConfig user guide, "Step 1: Create IAM permission policy based on CloudWatch alarms".
    role.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=[failing.alarm_arn]))
    environment = appconfig.CfnEnvironment(
        stack,
        "features-live",
        application_id=application.ref,
        name="live",
        monitors=[appconfig.CfnEnvironment.MonitorsProperty(alarm_arn=failing.alarm_arn, alarm_role_arn=role.role_arn)],
    )
    profile = appconfig.CfnConfigurationProfile(
        stack,
        "features-profile",
        application_id=application.ref,
        name="features",
        location_uri="hosted",
        validators=[
            appconfig.CfnConfigurationProfile.ValidatorsProperty(type="JSON_SCHEMA", content=json.dumps(SCHEMA))
        ],
    )
    strategy = appconfig.CfnDeploymentStrategy(
        stack,
        "features-at-once",
        name=f"{prefix}at-once",
        deployment_duration_in_minutes=0,
        final_bake_time_in_minutes=BAKE_MINUTES,
        growth_factor=100,
        replicate_to="NONE",
    )
    first = appconfig.CfnHostedConfigurationVersion(
        stack,
        "features-first",
        application_id=application.ref,
        configuration_profile_id=profile.ref,
        content_type="application/json",
        content="{}",
    )
    appconfig.CfnDeployment(
        stack,
        "features-first-deployed",
        application_id=application.ref,
        configuration_profile_id=profile.ref,
        configuration_version=first.ref,
        deployment_strategy_id=strategy.ref,
        environment_id=environment.ref,
    )
    for name, part in (("Application", application), ("Environment", environment), ("Profile", profile)):
        CfnOutput(stack, f"Features{name}", value=part.ref)
    CfnOutput(stack, "FeaturesStrategy", value=strategy.ref)
    return Switchboard(application=application, environment=environment, profile=profile)
