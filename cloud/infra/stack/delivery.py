"""How a new version of a function takes over: a tenth of its calls first, the rest when it did not fail, or none.

CloudFormation hands the turn of each alias to CodeDeploy, which turns it back where the alarm of the new version is
raised; the change of the stack has failed then, and CloudFormation takes back the rest of it. The alarm looks at the
new version alone: while the one before fails, its repair must be able to come.

Source: AWS CloudFormation user guide, "UpdatePolicy attribute", CodeDeployLambdaAliasUpdate; AWS Lambda developer
guide, "Implementing Lambda canary deployments using a weighted alias": metrics by alias and executed version.
"""

from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from cloud.infra.stack.functions import Functions

# A tenth for ten minutes: schedules call each minute, for each zone.
TAKE_OVER: Final = codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_10_MINUTES
FAILED_CALLS_MAX: Final = 1  # In a minute; what a failed call should have done is done by the next.


def take_over_gradually(stack: Stack, made: Functions, *, prefix: str) -> None:
    """Let CodeDeploy turn every alias, and turn it back where the new version fails."""
    application = codedeploy.LambdaApplication(stack, "versions", application_name=f"{prefix}versions")
    role = iam.Role(stack, "role-versions", assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"))
    for handler, alias in made.live.items():
        name = made.functions[handler].node.id.removeprefix("function-")
        codedeploy.LambdaDeploymentGroup(
            stack,
            f"take-over-{name}",
            application=application,
            alias=alias,
            role=role,
            deployment_config=TAKE_OVER,
            alarms=[_failing(stack, alias, made.functions[handler], name=name)],
            auto_rollback=codedeploy.AutoRollbackConfig(
                deployment_in_alarm=True, failed_deployment=True, stopped_deployment=True
            ),
        )


def _failing(stack: Stack, alias: lambda_.Alias, function: lambda_.Function, *, name: str) -> cloudwatch.Alarm:
    """Return the alarm of the version that is new with this change of the stack."""
    metric = cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name="Errors",
        dimensions_map={
            "FunctionName": function.function_name,
            "Resource": f"{function.function_name}:{alias.alias_name}",
            "ExecutedVersion": alias.version.version,
        },
        period=Duration.minutes(1),
        statistic="Sum",
    )
    return metric.create_alarm(
        stack,
        f"alarm-new-{name}",
        alarm_description=f"the version of {name} that is new fails; its calls go back to the one before",
        threshold=FAILED_CALLS_MAX,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
