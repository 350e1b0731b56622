"""What watches an account, for one that has nothing else in it: an option.

CloudTrail writes down who called what, Config how each resource was at what time, GuardDuty looks for what is odd in
calls and names asked. Each is there once for an account and Region; where an organisation has them already, a second
recorder or detector fails, so nothing here is on by itself.

Source: AWS Config developer guide, "Permissions for the S3 bucket for the delivery channel"; AWS CloudTrail user guide.
"""

from typing import Final

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_config as config
from aws_cdk import aws_guardduty as guardduty
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

KEPT_D: Final = 400
RECORDER_POLICY: Final = "service-role/AWS_ConfigRole"


def guards(stack: Stack, *, prefix: str) -> None:
    """Add trail, recorder and detector, and the bucket in which the first two write."""
    bucket = s3.Bucket(
        stack,
        "guards-log",
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        versioned=True,
        server_access_logs_prefix="access/",
        lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(KEPT_D))],
        removal_policy=RemovalPolicy.RETAIN,
    )
    cloudtrail.Trail(stack, "trail", trail_name=f"{prefix}trail", bucket=bucket, enable_file_validation=True)
    guardduty.CfnDetector(stack, "detector", enable=True, finding_publishing_frequency="ONE_HOUR")
    _recorder(stack, bucket, prefix=prefix)


def _recorder(stack: Stack, bucket: s3.Bucket, *, prefix: str) -> None:
    """Add Config: each change of a resource, written down as it comes, into the bucket."""
    service = iam.ServicePrincipal("config.amazonaws.com")
    own = {"StringEquals": {"AWS:SourceAccount": Aws.ACCOUNT_ID}}
    where = f"AWSLogs/{Aws.ACCOUNT_ID}/Config/*"
    for actions, resource in (
        (["s3:GetBucketAcl", "s3:ListBucket"], bucket.bucket_arn),
        (["s3:PutObject"], bucket.arn_for_objects(where)),
    ):
        bucket.add_to_resource_policy(
            iam.PolicyStatement(actions=actions, resources=[resource], principals=[service], conditions=own)
        )
    role = iam.Role(
        stack,
        "role-recorder",
        assumed_by=service,
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(RECORDER_POLICY)],
    )
    config.CfnConfigurationRecorder(
        stack,
        "recorder",
        name=f"{prefix}recorder",
        role_arn=role.role_arn,
        recording_group=config.CfnConfigurationRecorder.RecordingGroupProperty(
            all_supported=True, include_global_resource_types=True
        ),
    )
    config.CfnDeliveryChannel(stack, "recorder-channel", name=f"{prefix}recorder", s3_bucket_name=bucket.bucket_name)
