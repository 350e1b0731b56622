"""The one definition of who gets what, from which the local runner and the stack are both made."""

import importlib
import re

import boto3
from moto import mock_aws

from cloud.infra.rules import CONSUMERS, RULES, SCHEDULES, Carrier, Partition, Stream, consumers_of, rule_of
from cloud.infra.tables import LAKE, TABLES, create_request
from cloud.stores.lake import folder_key
from cloud.stores.tables import Table
from contracts.topics import Up, parse, site_topic
from tests.support.cloud.sites import START


def test_every_channel_has_one_rule_and_every_stream_a_reader() -> None:
    """A channel without a rule is a message that nobody stores."""
    assert sorted(rule.channel for rule in RULES) == sorted(Up)
    assert {consumer.stream for consumer in CONSUMERS} == set(Stream)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_no_carrier_has_more_readers_than_a_shard_serves() -> None:
    """A sixth reader would be slowed down by the others; each must find its own channel among the rest."""
    for carrier in Carrier:
        readers = [consumer for consumer in CONSUMERS if consumer.stream.carrier is carrier]
        assert 1 <= len(readers) <= 5
    for consumer in CONSUMERS:
        (told,) = consumer.event_filter["data"]["topic_channel"]
        assert rule_of(Up(told)).stream is consumer.stream
        assert "topic(5) AS topic_channel, timestamp() AS topic_at FROM" in rule_of(Up(told)).sql


def test_everything_that_is_named_is_a_function() -> None:
    """A handler that does not exist would only be found in production."""
    for module in {*(consumer.handler for consumer in CONSUMERS), *(schedule.handler for schedule in SCHEDULES)}:
        assert callable(importlib.import_module(module).handler)


def test_orders_keep_their_order_within_a_zone() -> None:
    """One writer per zone is what makes the market provable."""
    topic = parse("sitewatt/v1/zone-1/home-1/orders")
    assert topic is not None
    assert rule_of(Up.ORDERS).partition.of(topic) == "zone-1"
    assert rule_of(Up.TELEMETRY).partition is Partition.SITE
    assert rule_of(Up.ORDERS).partition_key == "${topic(3)}"
    assert "FROM 'sitewatt/v1/+/+/telemetry' WHERE regexp_matches(topic(), '^" in rule_of(Up.TELEMETRY).sql


def test_a_retained_message_passes_the_broker() -> None:
    """Basic Ingest keeps nothing for those who subscribe later."""
    assert not rule_of(Up.STATUS).basic_ingest


def test_schedules_are_whole_minutes_in_the_stack() -> None:
    """The scheduler knows no shorter period; the stream drives what must be faster."""
    for schedule in SCHEDULES:
        assert schedule.expression.startswith("rate(")
        assert schedule.every_s >= 60 or schedule.driven_by is not None
        assert schedule.driven_by is None or consumers_of(schedule.driven_by)


@mock_aws
def test_raw_samples_grow_cold_and_are_forgotten() -> None:
    """Who asks for the seconds of last winter may wait for nothing but the bill; the rules are those S3 accepts."""
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    client.put_bucket_lifecycle_configuration(**LAKE.lifecycle_request("lake"))
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket="lake")["Rules"]
    assert rule["Filter"]["Prefix"] == folder_key(zone="", day=START).split("zone=")[0]
    assert rule["Expiration"]["Days"] == LAKE.forget_after_d > rule["Transitions"][0]["Days"] == LAKE.cold_after_d


def test_every_table_is_defined_once_and_never_keyed_by_time() -> None:
    """A table keyed by a timestamp cannot answer for the last day of one site."""
    assert [definition.table for definition in TABLES] == list(Table)
    for table in Table:
        request = create_request(table, prefix="p-")
        assert request["KeySchema"][0]["AttributeName"] == "pk"
    kept = {definition.table for definition in TABLES if definition.recovery and definition.protected}
    assert {Table.MARKET_DATA, Table.TRADE_DATA} <= kept


def test_a_topic_with_another_sites_name_before_its_own_passes_no_rule() -> None:
    """The policy's ``*`` stands for slashes too, and a message straight to a rule is not held against its ``FROM``."""
    for rule in RULES:
        own = site_topic(zone="east", site="site-1", channel=rule.channel)
        assert re.search(rule.topic_pattern, own)
        other = site_topic(zone="east", site="site-2", channel=rule.channel)
        for forged in (f"{other}/{own}", f"x/y/east/site-2/{own}", f"{own}/{own}", f"{own}/x", f"x{own}", other + "x"):
            assert not re.search(rule.topic_pattern, forged), forged
