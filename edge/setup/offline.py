"""Checks that touch no device and no network: profiles, urls, bus load, files, folder, disk, clock."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from contracts.clock import Clock, SystemClock
from contracts.reasons import file_reason_of
from contracts.units import ClockTrust
from edge.clock_trust import ClockWatch
from edge.config import DeviceRole, DeviceSection, SiteConfig
from edge.devices.catalogue import load_profile
from edge.devices.options import check_names, options_of, why_not_written
from edge.devices.pace import CONTROL_PERIOD_S_MAX
from edge.errors import ConfigError, EdgeError
from edge.fleet.identity import IdentityStore, require_own
from edge.fleet.settings import FleetSettings
from edge.inputs.wired import check_contacts, check_loads
from edge.links.certificates import fault_of, validity
from edge.links.settings import Client
from edge.modbus.url import Endpoint, parse_url
from edge.private_files import opened_file
from edge.setup.failsafe_check import refuse_unsafe, slow_levers
from edge.setup.finding import Finding, failed, good, warning
from edge.setup.load import BusLoad, Connected, bus_loads
from edge.setup.stations import check_stations

# A bus above this share has no room for retries and for writes; above 1 it never keeps its pace.
BUSY_WARNING = 0.7
BUSY_FAILED = 1.0
# The outbox may take a tenth of the disk; below this it holds less than two weeks of telemetry without a link.
DISK_FREE_BYTES_MIN = 2 * 1024**3
DISK_FREE_BYTES_FAILED = 100 * 1024**2
_SECRET_BITS = stat.S_IRWXG | stat.S_IRWXO


def check_offline(config: SiteConfig, *, clock: Clock) -> list[Finding]:
    """Return what can be said about a configuration on this machine without asking anybody."""
    connected, findings = _devices(config)
    if len(connected) == len(config.on_modbus):
        findings += _safety(config)
    findings += check_stations(config)
    findings += [_bus(load) for load in bus_loads(connected)]
    findings += _link_files(config)
    if config.fleet is not None:
        findings.append(_identity(config.fleet, site=config.site.id))
    findings.append(_folder(config.state_dir))
    if _is_running(config.state_dir):
        do = "stop it for the check where a device takes only one client: sudo systemctl stop sitewatt"
        findings.append(warning("state", str(config.state_dir), "a gateway is running on it", do=do))
    findings.append(_disk(config.state_dir))
    findings.append(_clock(clock))
    return findings


def _devices(config: SiteConfig) -> tuple[list[Connected], list[Finding]]:
    connected: list[Connected] = []
    findings: list[Finding] = []
    endpoints: dict[str, Endpoint] = {}
    for section in config.on_modbus:
        try:
            device = _connected(config, section)
        except ConfigError as error:
            findings.append(failed("device", section.id, str(error), do="correct the device's url or profile"))
            continue
        other = endpoints.setdefault(device.endpoint.bus, device.endpoint)
        if _line(other) != _line(device.endpoint):
            findings.append(
                failed(
                    "device",
                    section.id,
                    f"{device.endpoint.bus} is named twice with different settings",
                    do="give all devices of one line the same baud rate, parity and stop bits",
                )
            )
            continue
        connected.append(device)
        findings.append(_profile(section, device))
    return connected, findings


def _safety(config: SiteConfig) -> list[Finding]:
    """Return what the gateway would refuse at its start, and what an installer should know of devices without timer."""
    try:
        check_contacts(config)
        check_loads(config)
        findings = refuse_unsafe(config)
    except ConfigError as error:
        do = "correct the contact or load, or wire a ripple relay and name it in relays; docs/operations.md shows both"
        return [failed("safety", config.site.id, str(error), do=do)]
    chips = {relay.device for relay in config.relays if relay.on_board and not Path(relay.device).exists()}
    return [
        *(
            warning("safety", one.asset, one.consequence, do="nothing, where something restarts a dead gateway")
            for one in findings
        ),
        *(
            warning("pace", one.asset, one.consequence, do="let another device measure it, or use a faster profile")
            for one in slow_levers(config)
        ),
        *(
            failed("safety", chip, "there is no such chip; its contacts count as closed", do="correct relays.device")
            for chip in sorted(chips)
        ),
    ]


def _connected(config: SiteConfig, section: DeviceSection) -> Connected:
    connection_w = float(max(config.connection.import_limit_w, config.connection.export_limit_w))
    profile = load_profile(section.profile, config.profile_dir)
    check_names(profile, section)
    return Connected(
        id=section.id,
        profile=profile,
        endpoint=parse_url(section.url),
        options=options_of(section, profile=profile, connection_w=connection_w),
    )


def _line(endpoint: Endpoint) -> tuple[object, ...]:
    return endpoint.scheme, endpoint.baud, endpoint.parity, endpoint.stop_bits, endpoint.line_baud


def _profile(section: DeviceSection, device: Connected) -> Finding:
    kinds = device.options.kinds or frozenset()
    unwritten = why_not_written(device.profile, section)
    if unwritten is not None and section.role is not DeviceRole.METER:
        do = "compare its values with its display; then set trust: one-source in the device's section"
        return warning("device", section.id, unwritten, do=do)
    vendor = f"{device.profile.vendor} {', '.join(device.profile.models[:2])}"
    if not kinds & set(device.profile.kinds):
        return warning(
            "device",
            section.id,
            f"profile {section.profile} is of a {', '.join(device.profile.kinds)}, the role is {section.role}",
            do="check the role and the profile; `sitewatt device identify URL` tells which profiles fit",
        )
    levers = device.options.levers or frozenset()
    without = sorted(lever for lever in levers if not device.profile.capabilities.get(lever))
    if section.load is not None and len(without) < len(levers):
        without = []  # One way to be turned down is enough for a load.
    if without:
        return warning(
            "device",
            section.id,
            f"profile {section.profile} cannot {', '.join(without)}; the device is only read",
            do="nothing, where it shall only be read",
        )
    return good("device", section.id, f"{vendor} as {section.role} at {section.url}")


def _bus(load: BusLoad) -> Finding:
    said = (
        f"{load.busy:.0%} busy with {load.requests_per_s:.1f} requests/s for {', '.join(load.devices)}; "
        f"what control needs takes {load.cycle_s * 1000:.0f} ms"
    )
    if load.cycle_s > CONTROL_PERIOD_S_MAX:
        do = f"control needs it every {CONTROL_PERIOD_S_MAX:g} s: raise the baud rate, or move devices to another line"
        return failed("bus", load.bus, said, do=do)
    if load.busy > BUSY_FAILED:
        return failed("bus", load.bus, said, do="raise the baud rate, or move devices to another line")
    if load.busy > BUSY_WARNING:
        return warning("bus", load.bus, said, do="raise the baud rate before another device joins the line")
    return good("bus", load.bus, said)


def _link_files(config: SiteConfig) -> Iterator[Finding]:
    link = config.link
    if link is None:
        yield good("link", "none", "the site speaks to no broker, and trades on no market")
    for name in ("ca_file", "cert_file", "key_file", "password_file"):
        path: Path | None = getattr(link, name, None)
        if path is not None:
            yield _file(name, path, secret=name in ("key_file", "password_file"))
    yield from _certificates(config)
    house = [section.broker for section in (config.plain_mqtt, config.home_assistant) if section is not None]
    for one in house if link is None else (link, *house):
        if not one.tls and one.host not in ("127.0.0.1", "localhost", "::1"):
            what = "messages" if one.username is None else "messages and the password"
            yield warning("link", one.url, f"{what} travel in the clear", do="use mqtts:// with a port that speaks TLS")
    if link is not None and link.client is Client.AWS and not _has_awsiotsdk():
        yield failed("link", "client aws", "awsiotsdk is not installed", do="install sitewatt[aws], or use client mqtt")


def _certificates(config: SiteConfig) -> Iterator[Finding]:
    """Return what ends, or has ended: nobody is told of it by the certificate itself."""
    house = [section.broker for section in (config.plain_mqtt, config.home_assistant) if section is not None]
    paths = [settings.cert_file for settings in (config.link, *house) if settings is not None]
    for path in sorted({path for path in paths if path is not None}):
        if (found := validity(path)) is None:
            continue
        now = SystemClock().now()
        if not found.holds(now):
            do = "renew it, and look at this machine's clock; the link takes the new file by itself"
            yield failed("link", "certificate", str(fault_of(path)), do=do)
        elif (fault := found.fault(now)) is not None:
            yield warning(
                "link", "certificate", f"{path} {fault}", do="renew it; the link takes the new file by itself"
            )


def _has_awsiotsdk() -> bool:
    import importlib.util

    return importlib.util.find_spec("awsiot") is not None


def _file(name: str, path: Path, *, secret: bool) -> Finding:
    try:
        mode = path.stat().st_mode
        with path.open("rb"):
            pass
    except OSError as error:
        return failed(
            "link", f"link.{name}", f"{path} cannot be read: {error.strerror}", do="put the file there, readable to us"
        )
    if secret and mode & _SECRET_BITS & ~stat.S_IRGRP:
        return warning(
            "link",
            f"link.{name}",
            f"{path} has mode {stat.S_IMODE(mode):04o}, others can use it",
            do=f"chmod 0640 {path}",
        )
    return good("link", f"link.{name}", f"{path} can be read")


def _identity(settings: FleetSettings, *, site: str) -> Finding:
    folder = settings.identity_dir
    try:
        identity = IdentityStore(folder).active()
        require_own(identity, folder=folder, site=site)
    except (EdgeError, OSError) as error:
        do = "provision this gateway (`sitewatt fleet provision`) as its own user, or correct site.id"
        return failed("fleet", str(folder), file_reason_of(error), do=do)
    return good("fleet", str(folder), f"the identity of {site}")


def _folder(folder: Path) -> Finding:
    """Return whether the state folder, or the folder in which it would be made, can be written."""
    present = _nearest(folder)
    if not present.is_dir():
        return failed("state", str(folder), f"{present} is not a folder", do="set state_dir to a folder")
    if not os.access(present, os.W_OK | os.X_OK):
        return failed(
            "state",
            str(folder),
            f"{present} cannot be written by this user",
            do="run the check as the gateway's user, or give it the folder",
        )
    return good("state", str(folder), "can be written" if present == folder else f"will be made in {present}")


def _is_running(folder: Path) -> bool:
    """Return whether a process of a gateway holds a store of this folder."""
    return any(_is_held(folder / f"{store}.lock") for store in ("control.db", "journal.db"))


def _is_held(path: Path) -> bool:
    try:
        with opened_file(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    said = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_FREE_BYTES_FAILED:
        return failed("disk", str(folder), said, do="make room: settlement needs the disk")
    if free < DISK_FREE_BYTES_MIN:
        return warning("disk", str(folder), said, do="make room: an outage of the link is kept for days, not weeks")
    return good("disk", str(folder), said)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest folder above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if _is_there(path))


def _is_there(path: Path) -> bool:
    """Say whether a path is there, for who may look; where we may not, the folder above tells so."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _clock(clock: Clock) -> Finding:
    trust = ClockWatch(clock).trust()
    shown = f"{clock.now():%Y-%m-%d %H:%M:%S} UTC"
    if trust is ClockTrust.UNTRUSTED:
        return warning(
            "clock",
            shown,
            "not synchronised since the start; control works, orders and signed evidence wait",
            do="let the machine reach a time server: `timedatectl` tells its state",
        )
    if trust is ClockTrust.HOLDOVER:
        return good("clock", shown, "kept by a service that we cannot ask")
    return good("clock", shown, "synchronised")
