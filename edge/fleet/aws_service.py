"""Provisioning through the SDK's own identity client (awsiotsdk, ``IotIdentityClientV2``) over MQTT 5."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future as ThreadFuture
from typing import Any

from awscrt import mqtt5, mqtt_request_response
from awsiot import V2ServiceException, iotidentity

from edge.errors import FleetError, FleetRefused, FleetSilent
from edge.links.aws_client import make_client
from edge.links.settings import LinkSettings

STOP_TIMEOUT_S = 2.0
_SUBSCRIPTIONS_MAX = 4  # Two requests, each answered on two topics.


@contextlib.asynccontextmanager
async def over_sdk(settings: LinkSettings, *, client_id: str, timeout_s: float) -> AsyncIterator["SdkService"]:
    """Open a session for the block.

    Raises:
        ConfigError: A certificate or key cannot be used.
    """
    session = _Session(settings, client_id)
    try:
        yield SdkService(session, timeout_s=timeout_s)
    finally:
        await session.close()


class SdkService:
    """The ``FleetService`` on the SDK's client."""

    def __init__(self, session: "_Session", *, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def certify(self, signing_request: str) -> dict[str, Any]:
        """See ``FleetService``."""
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=signing_request)
        answer = await self._ask("create-from-csr", lambda client: client.create_certificate_from_csr(request))
        return {
            "certificateId": answer.certificate_id,
            "certificatePem": answer.certificate_pem,
            "certificateOwnershipToken": answer.certificate_ownership_token,
        }

    async def register(self, *, template: str, token: str, parameters: dict[str, str]) -> dict[str, Any]:
        """See ``FleetService``."""
        request = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token, parameters=parameters
        )
        answer = await self._ask("provision", lambda client: client.register_thing(request))
        return {"thingName": answer.thing_name, "deviceConfiguration": answer.device_configuration}

    async def _ask(self, what: str, call: Callable[[Any], "ThreadFuture[Any]"]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._session.client(self._timeout_s)
                return await asyncio.wrap_future(call(client))
        except TimeoutError as error:
            reason = f"; {self._session.last_error}" if self._session.last_error else ""
            raise FleetSilent(f"{what} had no answer within {self._timeout_s:g} s{reason}") from error
        except V2ServiceException as error:
            told = error.modeled_error
            if told is None:
                raise _unanswered(what, error) from error
            raise FleetRefused(
                f"{what} was refused: {told.error_code}, {told.error_message}", code=str(told.error_code)
            ) from error


def _unanswered(what: str, error: V2ServiceException) -> FleetError:
    """Return what it means that the client has no answer: time-outs and losses may be tried again."""
    told = f"{error.message} ({error.inner_error})" if error.inner_error else str(error.message)
    if isinstance(error.inner_error, ValueError):
        return FleetError(f"{what} was answered with what cannot be read: {told}; nothing is kept of it")
    return FleetSilent(f"{what} had no answer: {told}")


class _Session:
    """One MQTT 5 client of the SDK; its threads hand over to the event loop."""

    def __init__(self, settings: LinkSettings, client_id: str) -> None:
        self.last_error: str | None = None
        self._loop = asyncio.get_running_loop()
        self._connected = asyncio.Event()
        self._stopped = asyncio.Event()
        self._identity: iotidentity.IotIdentityClientV2 | None = None
        self._mqtt = self._build(settings, client_id)
        self._started = False

    async def client(self, timeout_s: float) -> Any:
        """Return the identity client, connected; the caller bounds the wait."""
        if not self._started:
            self._started = True
            self._mqtt.start()
        await self._connected.wait()
        if self._identity is None:
            options = mqtt_request_response.ClientOptions(
                max_request_response_subscriptions=_SUBSCRIPTIONS_MAX,
                max_streaming_subscriptions=1,
                operation_timeout_in_seconds=math.ceil(timeout_s),
            )
            self._identity = iotidentity.IotIdentityClientV2(self._mqtt, options)
        return self._identity

    async def close(self) -> None:
        """Disconnect, and let the client's threads go."""
        self._identity = None
        if self._started:
            self._mqtt.stop(mqtt5.DisconnectPacket())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._stopped.wait()

    def _build(self, settings: LinkSettings, client_id: str) -> mqtt5.Client:
        return make_client(
            settings,
            connect=mqtt5.ConnectPacket(client_id=client_id, keep_alive_interval_sec=settings.keep_alive_s),
            session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
            min_reconnect_delay_ms=int(settings.reconnect_s_min * 1000),
            max_reconnect_delay_ms=max(int(settings.reconnect_s_max * 1000), 1),
            on_lifecycle_event_connection_success_fn=lambda data: self._on_loop(self._connected.set),
            on_lifecycle_event_connection_failure_fn=lambda data: self._on_loop(self._failed, data),
            on_lifecycle_event_disconnection_fn=lambda data: self._on_loop(self._lost, data),
            on_lifecycle_event_stopped_fn=lambda data: self._on_loop(self._stopped.set),
        )

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # A loop that is closed by now has nobody left to tell.
            self._loop.call_soon_threadsafe(call, *arguments)

    def _failed(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        reason = data.connack_packet.reason_code.name if data.connack_packet else data.exception
        self.last_error = f"the broker was not reached or does not accept our certificate: {reason}"

    def _lost(self, data: mqtt5.LifecycleDisconnectData) -> None:
        self._connected.clear()
        packet = data.disconnect_packet
        self.last_error = f"the connection ended: {packet.reason_code.name if packet else data.exception}"
