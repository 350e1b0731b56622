"""Makes the link that the settings ask for."""

from contracts.units import SiteId
from edge.errors import ConfigError
from edge.links.link import Link, Presence
from edge.links.settings import Client, LinkSettings


def make_link(settings: LinkSettings, *, client_id: SiteId, presence: Presence | None = None) -> Link:
    """Return an idle link; each client library is imported only when it is asked for.

    Raises:
        ConfigError: The client library is not installed.
    """
    if settings.client is Client.MQTT:
        from edge.links.mqtt import MqttLink

        return MqttLink(settings, client_id=client_id, presence=presence)
    try:
        from edge.links.aws import AwsLink
    except ImportError as error:
        raise ConfigError(f"link.client aws needs awsiotsdk (pip install 'sitewatt[aws]'): {error}") from error
    return AwsLink(settings, client_id=client_id, presence=presence)
