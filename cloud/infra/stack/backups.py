"""Backups beyond the 35 days that tables keep by themselves: monthly copies of what is worth money, kept for a year.

They lie in a vault of their own, under the key of the secrets: who may delete a table cannot delete its copies.
Recovery to any second serves the rest, so this is an option: 13 copies cost 1.30 USD a month for a gigabyte of tables.

Source: AWS Backup developer guide, "AWS managed policies"; AWS Backup pricing, DynamoDB warm storage.
"""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam

from cloud.infra.stack.data import Data
from cloud.infra.tables import TABLES

KEPT_D: Final = 400
POLICY: Final = "service-role/AWSBackupServiceRolePolicyForBackup"


def backups(stack: Stack, held: Data, *, prefix: str) -> None:
    """Add vault, plan and what it covers: the tables that are protected against deletion."""
    vault = backup.BackupVault(
        stack,
        "backups",
        backup_vault_name=f"{prefix}backups",
        encryption_key=held.keys["secrets"],
        removal_policy=RemovalPolicy.RETAIN,
    )
    plan = backup.BackupPlan(stack, "backups-monthly", backup_plan_name=f"{prefix}monthly", backup_vault=vault)
    plan.add_rule(
        backup.BackupPlanRule(
            rule_name="monthly",
            schedule_expression=events.Schedule.cron(minute="30", hour="1", day="1", month="*", year="*"),
            delete_after=Duration.days(KEPT_D),
        )
    )
    role = iam.Role(
        stack,
        "role-backups",
        assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(POLICY)],
    )
    tables = [held.tables[each.table] for each in TABLES if each.protected]
    plan.add_selection(
        "protected",
        role=role,
        resources=[backup.BackupResource.from_arn(table.table_arn) for table in tables],
    )
