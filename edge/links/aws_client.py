"""Makes a client of awsiotsdk: certificate, protocol on a shared port, proxy; idle until it is started."""

from typing import Any

from awscrt import http, io, mqtt5

from edge.errors import ConfigError
from edge.links.settings import LinkSettings


def make_client(settings: LinkSettings, *, connect: mqtt5.ConnectPacket, **options: Any) -> mqtt5.Client:
    """Return a client; ``options`` are further fields of the SDK's ``ClientOptions``.

    Raises:
        ConfigError: A certificate, a key or an option cannot be used.
    """
    try:
        tls = io.TlsContextOptions.create_client_with_mtls_from_path(str(settings.cert_file), str(settings.key_file))
        if settings.ca_file is not None:
            tls.override_default_trust_store_from_path(ca_filepath=str(settings.ca_file))
        if settings.alpn_asked is not None:
            tls.alpn_list = [settings.alpn_asked]
        return mqtt5.Client(
            mqtt5.ClientOptions(
                host_name=settings.host,
                port=settings.port,
                tls_ctx=io.ClientTlsContext(tls),
                http_proxy_options=_proxy(settings),
                connect_options=connect,
                disable_metrics=True,
                **options,
            )
        )
    except Exception as error:  # The SDK raises what its native part names; what it checks here is our settings.
        raise ConfigError(
            f"link certificate {settings.cert_file} or key {settings.key_file} cannot be used: {error}"
        ) from error


def _proxy(settings: LinkSettings) -> http.HttpProxyOptions | None:
    if settings.proxy is None:
        return None
    return http.HttpProxyOptions(
        host_name=settings.proxy[0],
        port=settings.proxy[1],
        connection_type=http.HttpProxyConnectionType.Tunneling,
    )
