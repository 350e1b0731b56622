"""A word when an account's month is about to cost more than was meant: an option, as the sum is the operator's.

The first two budgets of an account cost nothing. All of the account counts: a stack alone could be told apart by its
tag only after somebody has switched that tag on for billing.

Source: AWS Cost Management user guide, "Creating an Amazon SNS topic for budget notifications".
"""

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns

from cloud.infra.stack.watch import may_speak

# What is told: when so many percent are spent, and when the month is expected to end above.
SPENT_PERCENT, EXPECTED_PERCENT = 80, 100


def budget(stack: Stack, topic: sns.Topic, *, key: kms.Key, usd: int, prefix: str) -> None:
    """Add a budget of a month, which speaks on the topic of the alarms."""
    may_speak(topic, key, "budgets.amazonaws.com")
    told = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
    budgets.CfnBudget(
        stack,
        "budget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            budget_name=f"{prefix}month",
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
        ),
        notifications_with_subscribers=[
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent
                ),
                subscribers=[told],
            )
            for kind, percent in (("ACTUAL", SPENT_PERCENT), ("FORECASTED", EXPECTED_PERCENT))
        ],
    )
