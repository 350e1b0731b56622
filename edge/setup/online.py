"""Checks that ask: every device by the gateway's own reader, and the broker. Nothing is ever written to a device."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol

from contracts.clock import SystemClock
from contracts.reasons import reason_of
from contracts.units import Quality, SiteId
from edge.config import DeviceRole, DeviceSection, LoadSection, SiteConfig
from edge.devices.device import Device
from edge.devices.opening import open_devices
from edge.devices.phases import LEAST_A, PHASE_V
from edge.errors import ConfigError, EdgeError, LinkError
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.mqtt import tls_context
from edge.links.settings import Client, LinkSettings
from edge.loop.load_state import SAFE_CURRENT
from edge.loop.readings import EXPORT_ENERGY, IMPORT_ENERGY, POWER, SOC
from edge.modbus.point import Reading
from edge.setup.finding import Finding, failed, good, warning

# Real seconds: a slow serial line with several devices is read once in less.
DEVICES_TIMEOUT_S = 20.0
LINK_TIMEOUT_S = 10.0
_LOOK_S = 0.1
CLIENT_ID_MAX = 63  # A site's own name is no longer.
# A reading above its rating by this factor is no overload but a wrong scale or a wrong device.
RATING_FACTOR = 1.5
# A solar inverter takes this much at night; more into it is generation counted the wrong way round.
NIGHT_W_MAX = 100.0


async def check_online(
    config: SiteConfig, *, devices_timeout_s: float = DEVICES_TIMEOUT_S, link_timeout_s: float = LINK_TIMEOUT_S
) -> list[Finding]:
    """Ask every device and the broker, and return what they say; the waits are real seconds."""
    devices, link = await asyncio.gather(
        check_devices(config, timeout_s=devices_timeout_s), check_link(config, timeout_s=link_timeout_s)
    )
    return [*devices, *link]


async def check_devices(config: SiteConfig, *, timeout_s: float = DEVICES_TIMEOUT_S) -> list[Finding]:
    """Read the devices as a running gateway would, in our names and signs, until each has told what it is asked for."""
    connection_w = float(max(config.connection.import_limit_w, config.connection.export_limit_w))
    try:
        async with open_devices(
            config.on_modbus, clock=SystemClock(), profile_dir=config.profile_dir, connection_w=connection_w
        ) as devices:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while not all(  # noqa: ASYNC110
                        _has_told(section, devices[section.id].snapshot()) for section in config.devices
                    ):
                        await asyncio.sleep(_LOOK_S)
            return [
                finding
                for section in config.on_modbus
                for finding in _answers(section, devices[section.id], connection_w)
            ]
    except ConfigError as error:
        return [failed("answers", "devices", str(error), do="correct the configuration")]


class SlipOf(Protocol):
    """Tells which usual slip of a map would explain what a quantity reads."""

    def __call__(self, canonical: str, *, bounds: tuple[float, float] | None = None) -> str | None:
        """Return it in words, None where none would."""


def _no_slip(canonical: str, *, bounds: tuple[float, float] | None = None) -> str | None:
    return None


def _has_told(section: DeviceSection, snapshot: Mapping[str, Reading]) -> bool:
    """Say whether a device has told its power and, where it has a battery, how full that is."""
    wanted = [POWER] if section.battery is None else [POWER, SOC]
    told = [snapshot.get(name) for name in wanted]
    return all(reading is not None and reading.quality is Quality.GOOD for reading in told)


def _answers(section: DeviceSection, device: Device, connection_w: float) -> list[Finding]:
    health = device.health
    if not health.online:
        return [
            failed(
                "answers",
                section.id,
                f"{section.url} does not answer: {health.last_error or 'no reply in time'}",
                do="check power, cable, address and unit; `sitewatt device scan` tells who answers",
            )
        ]
    snapshot = device.snapshot()
    if section.load is not None and POWER not in snapshot:
        return [_load(section, section.load, snapshot), *safe_current(section, snapshot)]
    power = snapshot.get(POWER)
    if power is None or power.quality is not Quality.GOOD or not isinstance(power.value, int | float):
        return [
            failed(
                "answers",
                section.id,
                "answers, but tells no usable power",
                do=f"`sitewatt device identify '{section.url}'` tells which profile fits",
            )
        ]
    latency = "" if health.latency_s is None else f", {health.latency_s * 1000:.0f} ms a request"
    return [
        good("answers", section.id, f"{_told(snapshot)}{latency}"),
        *implausible(section, snapshot, connection_w=connection_w, slip_of=device.likely_slip),
        *_quarantined(section, health.quarantined, slip_of=device.likely_slip),
        *safe_current(section, snapshot),
    ]


def safe_current(section: DeviceSection, snapshot: Mapping[str, Reading]) -> list[Finding]:
    """Return what a charging point goes on with when the gateway is dead, where that is more than the least.

    A car that is dimmed by order would then draw more than the order left, and nobody could take it back.
    """
    safe = snapshot.get(SAFE_CURRENT)
    if safe is None or safe.quality is not Quality.GOOD or not isinstance(safe.value, int | float):
        return []
    if safe.value <= LEAST_A:
        return []
    power_w = safe.value * PHASE_V * len(section.phases)
    return [
        warning(
            "safe current",
            section.id,
            f"goes on with {safe.value:g} A, {power_w:.0f} W, when the gateway is dead, whatever was ordered",
            do=f"set its safe current to {LEAST_A:g} A in its menu where an order must hold without a gateway",
        )
    ]


def _load(section: DeviceSection, load: LoadSection, snapshot: Mapping[str, Reading]) -> Finding:
    """Return whether a load without a meter of its own tells at least that it is on, where it is asked for that."""
    if load.state is None:
        return good("answers", section.id, f"tells no power; counts {load.rated_w} W while it may run")
    state = snapshot.get(load.state)
    if state is None or state.quality is not Quality.GOOD:
        return failed(
            "answers",
            section.id,
            f"answers, but does not tell {load.state}",
            do="load.state names the point that says whether the load is on",
        )
    return good("answers", section.id, f"{load.state} {state.value}; counts {load.rated_w} W while on")


def _told(snapshot: Mapping[str, Reading]) -> str:
    shown = [
        f"{name} {reading.value:.0f}"
        for name in (POWER, SOC, IMPORT_ENERGY, EXPORT_ENERGY)
        if (reading := snapshot.get(name)) is not None and isinstance(reading.value, int | float)
    ]
    return ", ".join(shown)


def _rated_w(section: DeviceSection, battery_w: int) -> int:
    return section.load.rated_w if section.load is not None else section.pv_peak_w + battery_w


def implausible(
    section: DeviceSection, snapshot: Mapping[str, Reading], *, connection_w: float, slip_of: SlipOf = _no_slip
) -> list[Finding]:
    """Return what a device says that cannot be, or is probably wired or entered the wrong way.

    Args:
        slip_of: Tells which slip of the map would explain a quantity, within the bounds that it can have.
    """
    findings = []
    power_w = float(snapshot[POWER].value)  # type: ignore[arg-type]
    battery = section.battery
    battery_w = max(battery.charge_limit_w, battery.discharge_limit_w) if battery is not None else 0
    rated_w = connection_w if section.role is DeviceRole.METER else float(_rated_w(section, battery_w))
    if rated_w and abs(power_w) > RATING_FACTOR * rated_w:
        findings.append(
            failed(
                "plausible",
                section.id,
                f"reads {power_w:.0f} W, {abs(power_w) / rated_w:.1f} times its rating of {rated_w:.0f} W",
                do="check the rating in the configuration, the transformer ratio of the meter, and the profile"
                + _fits(slip_of(POWER, bounds=(-RATING_FACTOR * rated_w, RATING_FACTOR * rated_w))),
            )
        )
    if section.role is DeviceRole.PV and power_w > NIGHT_W_MAX:
        findings.append(
            failed(
                "plausible",
                section.id,
                f"reads {power_w:.0f} W into a solar inverter; generation must be negative",
                do="check the direction of its meter, or report the profile's sign",
            )
        )
    if section.role is DeviceRole.METER and IMPORT_ENERGY not in snapshot:
        findings.append(
            warning(
                "plausible",
                section.id,
                "has no import counter; energy is estimated from power, and flagged so",
                do="settle from a meter with counters where it can be had",
            )
        )
    soc = snapshot.get(SOC)
    if battery is not None and (soc is None or soc.quality is not Quality.GOOD):
        findings.append(
            failed(
                "plausible", section.id, "tells no state of charge", do="check that the battery is connected and awake"
            )
        )
    return findings


def _quarantined(section: DeviceSection, counts: Mapping[str, int], *, slip_of: SlipOf = _no_slip) -> list[Finding]:
    """Return what was discarded because it cannot be; energies that fall have no usual slip."""
    if not counts:
        return []
    names = ", ".join(f"{name}{_fits(slip_of(name))}" for name in sorted(counts))
    return [
        warning("plausible", section.id, f"tells what cannot be: {names}", do="check the profile and the device's menu")
    ]


def _fits(slip: str | None) -> str:
    return "" if slip is None else f" (it would fit with {slip})"


async def check_link(config: SiteConfig, *, timeout_s: float = LINK_TIMEOUT_S) -> list[Finding]:
    """Return whether the broker can be reached.

    The session is one of its own, so that nothing that waits for the gateway is taken away from it. AWS IoT lets only
    the gateway's own name in; there the way is proven up to TLS.
    """
    if (link := config.link) is None:
        return []
    proven = _shake_hands(link, timeout_s) if link.client is Client.AWS else _connect(link, config.site.id, timeout_s)
    try:
        return [good("link", link.url, await proven)]
    except (OSError, EdgeError) as error:
        why = reason_of(error) or f"no answer from {link.host}:{link.port} within {timeout_s:g} s"
    do = "check the network, the url, the certificates and the clock; control works without a link, trading does not"
    return [failed("link", link.url, why, do=do)]


async def _shake_hands(link: LinkSettings, timeout_s: float) -> str:
    context = tls_context(link)
    async with asyncio.timeout(timeout_s):
        if link.proxy is None:
            _, writer = await asyncio.open_connection(link.host, link.port, ssl=context, server_hostname=link.host)
        else:
            writer = await _through_proxy(link, link.proxy)
            await writer.start_tls(context, server_hostname=link.host)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return "speaks TLS with our certificate"


async def _through_proxy(link: LinkSettings, proxy: tuple[str, int]) -> asyncio.StreamWriter:
    """Open a way to the broker. Source: RFC 9110, 9.3.6 CONNECT.

    Raises:
        LinkError: The proxy does not lead there; the sentence holds its answer.
        OSError: It is not reached.
    """
    reader, writer = await asyncio.open_connection(*proxy)
    target = f"{link.host}:{link.port}"
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    try:
        answer = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise LinkError(f"the proxy {link.proxy_url} does not answer as a proxy") from error
    if answer.split(" ")[1:2] != ["200"]:
        writer.close()
        raise LinkError(f"the proxy {link.proxy_url} does not lead to {target}: {answer}")
    return writer


async def _connect(settings: LinkSettings, site: SiteId, timeout_s: float) -> str:
    own = settings.model_copy(update={"session_expiry_s": 0})
    link = make_link(own, client_id=f"{site}-check"[:CLIENT_ID_MAX])
    tasks = {
        asyncio.create_task(link.run(), name="link check"),
        asyncio.create_task(link.wait_for(LinkState.CONNECTED), name="wait for the link"),
    }
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not done:
        why = link.status().last_error or "no answer"
        raise LinkError(f"no session with {settings.host}:{settings.port} within {timeout_s:g} s: {why}")
    return "accepts a session"
