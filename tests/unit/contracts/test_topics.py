"""Topics, built and parsed in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import Broadcast, Down, Topic, Up, broadcast_topic, parse, site_topic

IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).filter(lambda name: name != "broadcast")
TOPIC_BYTES_MAX = 256  # Source: AWS IoT Core quotas, topic size.
SLASHES_MAX = 7  # Source: AWS IoT Core quotas, slashes in a topic.


@given(zone=IDS, site=IDS, channel=st.sampled_from([*Up, *Down]))
def test_parsing_undoes_building_for_a_site(zone: str, site: str, channel: Up | Down) -> None:
    """The cloud routes by what it parses."""
    assert parse(site_topic(zone=zone, site=site, channel=channel)) == Topic(zone=zone, site=site, channel=channel)


@given(zone=IDS, channel=st.sampled_from(Broadcast))
def test_parsing_undoes_building_for_a_broadcast(zone: str, channel: Broadcast) -> None:
    """A broadcast is not taken for a site's channel."""
    assert parse(broadcast_topic(zone=zone, channel=channel)) == Topic(zone=zone, site=None, channel=channel)


@given(topic=st.text(max_size=60))
def test_a_foreign_topic_is_no_topic_of_ours(topic: str) -> None:
    """A shared broker carries other people's topics too."""
    assert parse(topic) is None or topic.startswith("sitewatt/v1/")


@pytest.mark.parametrize(
    "topic",
    [
        "sitewatt/v2/z/s/meter",
        "sitewatt/v1/z/s",
        "sitewatt/v1/z/s/meter/more",
        "sitewatt/v1//s/meter",
        "sitewatt/v1/z//meter",
        "sitewatt/v1/z/s/unknown",
        "sitewatt/v1/z/broadcast/commands",
    ],
)
def test_what_is_almost_a_topic_is_none(topic: str) -> None:
    """Half a match would route somebody's money to somebody else."""
    assert parse(topic) is None


def test_the_longest_topic_stays_within_the_brokers_bounds() -> None:
    """A site that is named too long would be refused only in the field."""
    longest = max((site_topic(zone="z" * 63, site="s" * 63, channel=channel) for channel in [*Up, *Down]), key=len)
    assert len(longest) <= TOPIC_BYTES_MAX
    assert longest.count("/") <= SLASHES_MAX
