"""The first set-up, question by question: scan, identify, name, limits, link. It only ever reads from devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from contracts.market import SiteAgent
from edge.config import DeviceRole, SiteConfig, sentence
from edge.devices.catalogue import load_profile
from edge.devices.identify import Match
from edge.devices.phases import PHASE_V
from edge.devices.points import Kind
from edge.devices.scan import Found
from edge.errors import ConfigError, EdgeError
from edge.links.settings import Client, LinkSettings
from edge.ocpp.settings import OcppSettings
from edge.public_key import check_public_key
from edge.setup.console import Check, Console
from edge.setup.device_questions import ask_amount, describe
from edge.setup.proposal import free_name, propose
from edge.setup.site_questions import ask_grid, ask_idle, ask_page, ask_place, ask_time_zone, ask_trading
from edge.setup.station_questions import TARGET as STATION
from edge.setup.station_questions import describe_station

ALONE_ZONE = "home"  # Of a site without a broker: nobody reads it.
DEVICES_MAX = 64  # More than any gateway of ours reads; a dialogue without end is a mistake.
# Sections that a file has only where something of them was answered.
_ASKED_ONLY = ("ocpp", "link", "fleet", "trading", "control", "commands", "grid_limits", "page")
_FUSE = "Fuse of each phase in A (empty: phases are not watched)"
PLAIN_MQTT_PORT = 1883  # Source: IANA, mqtt.
_OTHER = "another profile"
_SKIP = "leave it out"


class Searcher(Protocol):
    """Who asks the wires. Everything it does is a read."""

    def scan(self, target: str) -> Sequence[Found]:
        """Return who answers at a host, a network or a serial line.

        Raises:
            ConfigError: The target cannot be used.
        """

    def identify(self, url: str) -> Sequence[Match]:
        """Return the profiles that fit, the best first.

        Raises:
            DeviceError: It does not answer.
        """

    def ratings(self, url: str, profile: str) -> Mapping[str, float]:
        """Return what a device says that it can do at most, by canonical name; empty where it tells nothing."""


@dataclass(kw_only=True)
class Answers:
    """What was answered, in the words of the configuration; anything given beforehand is not asked."""

    site: dict[str, Any] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    ocpp: dict[str, Any] = field(default_factory=dict)
    link: dict[str, Any] = field(default_factory=dict)
    fleet: dict[str, Any] = field(default_factory=dict)
    trading: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, Any] = field(default_factory=dict)
    grid_limits: dict[str, Any] = field(default_factory=dict)
    page: dict[str, Any] = field(default_factory=dict)
    state_dir: Path = Path("/var/lib/sitewatt")
    profile_dir: Path | None = None
    targets: tuple[str, ...] = ()

    def alone(self) -> None:
        """Answer what a broker is needed for, of a site that has none."""
        self.site.setdefault("zone", ALONE_ZONE)
        self.trading.setdefault("enabled", False)

    def config(self) -> SiteConfig:
        """Return the configuration that the answers make.

        Raises:
            ConfigError: Something is missing or wrong; one sentence says what.
        """
        raw: dict[str, Any] = {
            "site": self.site,
            "connection": self.connection,
            "devices": self.devices,
            "state_dir": self.state_dir,
            **({"profile_dir": self.profile_dir} if self.profile_dir is not None else {}),
            **{name: value for name in _ASKED_ONLY if (value := getattr(self, name))},
        }
        try:
            return SiteConfig.model_validate(raw)
        except ValidationError as error:
            raise ConfigError(f"set-up: {sentence(error)}; nothing was written") from error


def run_dialogue(console: Console, searcher: Searcher, answers: Answers) -> SiteConfig:
    """Ask for what is not yet answered and return the configuration.

    Raises:
        ConfigError: The answers do not make a configuration.
    """
    _ask_site(console, answers)
    _find_devices(console, searcher, answers)
    _ask_connection(console, answers)
    _ask_link(console, answers)
    _ask_market(console, answers)
    _ask_rest(console, answers)
    return answers.config()


def _ask_site(console: Console, answers: Answers) -> None:
    site = answers.site
    if "id" not in site:
        site["id"] = console.ask("Name of the site", check=_name_of("site"))


def _ask_market(console: Console, answers: Answers) -> None:
    site = answers.site
    if not answers.link:
        answers.alone()
        if "agent" not in site:
            may_write = console.confirm("May it steer its devices (no: it only reads)", default=True)
            site["agent"] = (SiteAgent.CONSUMER if may_write else SiteAgent.MONITOR).value
        return
    if "zone" not in site:
        site["zone"] = console.ask("Its price area", default="home", check=_name_of("price area"))
    if "agent" not in site:
        options = [agent.value for agent in SiteAgent]
        site["agent"] = console.choose("What it does on the market", options, default=SiteAgent.CONSUMER.value)


def _find_devices(console: Console, searcher: Searcher, answers: Answers) -> None:
    """Look at each target when it is named, and ask for the next; a site leaves with its meter, or with nothing."""
    if answers.devices and not answers.targets:
        return
    for target in answers.targets:
        _look_at(console, searcher, answers, target)
    if not answers.targets:
        _ask_targets(console, searcher, answers)
    while not _meters(answers):
        console.say("No meter yet, and a site needs one at its connection point: name more, or leave with nothing.")
        if not _ask_targets(console, searcher, answers):
            return


def _look_at(console: Console, searcher: Searcher, answers: Answers, target: str) -> None:
    if target.startswith(STATION):
        _add_station(console, answers, target.removeprefix(STATION))
        return
    try:
        found = searcher.scan(target)
    except EdgeError as error:
        console.say(str(error))
        return
    if not found:
        console.say(f"nobody answers at {target}")
    for one in found:
        if (
            name := next((device["id"] for device in answers.devices if device.get("url") == one.url), None)
        ) is not None:
            console.say(f"{one.url} is {name} already")
        elif len(answers.devices) < DEVICES_MAX:
            _add_device(console, searcher, answers, one)


def _add_station(console: Console, answers: Answers, station: str) -> None:
    """Add a charging station, which calls us: nobody is asked but the installer."""
    taken = {str(device["id"]) for device in answers.devices}
    try:
        told = describe_station(
            console,
            station=station,
            state_dir=answers.state_dir,
            name=free_name(DeviceRole.LOAD, taken, kinds=(Kind.CHARGER,)),
            name_complaint=lambda text: _device_complaint(text, taken),
        )
    except ConfigError as error:
        console.say(str(error))
        return
    answers.devices.append(told)
    answers.ocpp.setdefault("listen", OcppSettings().listen)


def _meters(answers: Answers) -> list[str]:
    return [str(device["id"]) for device in answers.devices if device.get("role") == DeviceRole.METER]


def _ask_targets(console: Console, searcher: Searcher, answers: Answers) -> int:
    """Ask where devices are until nothing more is named, and return how many times something was."""
    console.say(
        "Where are the devices? A host (or HOST:PORT), a network (192.168.1.0/24), a serial line (/dev/ttyUSB0), "
        "or ocpp:NAME for a charging station that calls us."
    )
    question = "Scan"
    named = 0
    while named < DEVICES_MAX and (target := console.ask(f"{question} (empty: go on)")):
        _look_at(console, searcher, answers, target)
        named, question = named + 1, "Scan another"
    return named


def _add_device(console: Console, searcher: Searcher, answers: Answers, found: Found) -> None:
    console.say(f"{found.url} answers {found.answered}")
    try:
        matches = searcher.identify(found.url)
    except EdgeError as error:
        console.say(f"it cannot be identified: {error}")
        matches = ()
    for match in matches[:3]:
        console.say(f"  {match.profile:24} {match.score:5.1f}  {'; '.join(match.evidence[:4])}")
    proposal = propose(found.url, matches)
    if proposal.profiles and not proposal.clear:
        console.say("No name speaks for a map, only values that could be: what is printed on the device decides.")
    options = [*proposal.profiles[:5], _OTHER, _SKIP]
    profile = console.choose("Its profile", options, default=options[0] if proposal.profiles else _SKIP)
    if profile == _OTHER:
        profile = console.ask("Profile", check=lambda text: _profile_complaint(text, answers.profile_dir))
    if profile != _SKIP:
        taken = {str(device["id"]) for device in answers.devices}
        answers.devices.append(
            describe(
                console,
                url=found.url,
                profile=load_profile(profile, answers.profile_dir),
                taken=taken,
                name_complaint=lambda text: _device_complaint(text, taken),
                ratings_of=lambda: searcher.ratings(found.url, profile),
            )
        )


def _ask_connection(console: Console, answers: Answers) -> None:
    connection = answers.connection
    meters = _meters(answers)
    if not meters:
        raise ConfigError(
            "set-up: no device has the role meter; a site needs one at its connection point; nothing was written"
        )
    if "meter" not in connection:
        connection["meter"] = (
            meters[0] if len(meters) == 1 else console.choose("Meter at the connection", meters, default=meters[0])
        )
    if "import_limit_w" not in connection:
        connection["import_limit_w"] = ask_amount(console, "Greatest import in W (fuse or contract)", low=1)
    if "export_limit_w" not in connection:
        connection["export_limit_w"] = ask_amount(console, "Greatest export in W", low=0)
    if "phase_limit_w" not in connection and (fuse := console.ask(_FUSE, check=_no_fuse)):
        connection["phase_limit_w"] = round(int(_amperes(fuse)) * PHASE_V)


def _amperes(text: str) -> str:
    """Return an answer without its unit."""
    return text.removesuffix("A").removesuffix("a").strip()


def _no_fuse(text: str) -> str | None:
    number = _amperes(text)
    fits = not text or (number.isascii() and number.isdecimal() and 6 <= int(number) <= 1000)
    return None if fits else "a whole number of A from 6 to 1000"


def _ask_link(console: Console, answers: Answers) -> None:
    link = answers.link
    if "url" in link:
        return
    answer = console.ask("Broker of a market, an operator or a fleet, HOST:PORT (empty: none)", check=_no_broker)
    if not answer:
        return
    link["url"] = broker_url(answer)
    if link["url"] != answer:
        console.say(f"taken as {link['url']}")
    if str(link["url"]).startswith(("mqtts:", "wss:")):
        if path := console.ask("File with the broker's authority (empty: the system's)"):
            link["ca_file"] = path
        if key := console.ask("Public key that signs your fleet's updates (empty: no fleet)", check=_public_key):
            answers.fleet["update_key"] = key
        elif path := console.ask("File with our certificate (empty: none)"):
            link["cert_file"] = path
            link["key_file"] = console.ask("File with its key", check=_some("a certificate needs its key"))
    certified = bool(answers.fleet) or "cert_file" in link
    if certified and console.confirm("Is it AWS IoT Core?", default=".amazonaws.com" in link["url"]):
        link["client"] = Client.AWS.value
    if not certified and (user := console.ask("User name (empty: none)")):
        link["username"] = user
        link["password_file"] = console.ask("File with the password", check=_some("name the file, not the password"))


def broker_url(text: str) -> str:
    """Return the address of a broker; a host without a scheme is spoken to over TLS, but on the port of plain MQTT."""
    if "://" in text:
        return text
    return f"{'mqtt' if text.endswith(f':{PLAIN_MQTT_PORT}') else 'mqtts'}://{text}"


def _no_broker(text: str) -> str | None:
    try:
        if text:
            LinkSettings(url=broker_url(text))
    except ValidationError as error:
        return f"{sentence(error)}; as mqtts://HOST:8883, or mqtt://HOST:1883 without encryption"
    return None


def _ask_rest(console: Console, answers: Answers) -> None:
    ask_place(console, answers.site)
    ask_time_zone(console, answers.site)
    ask_trading(console, answers.trading, agent=answers.site["agent"])
    if any("battery" in device for device in answers.devices):
        ask_idle(console, answers.control)
    ask_grid(console, answers.grid_limits, answers.commands)
    ask_page(console, answers.page)


def _public_key(text: str) -> str | None:
    try:
        if text:
            check_public_key(text)
    except ValueError as error:
        return f"it {error}"
    return None


def _name_of(what: str) -> Check:
    def check(text: str) -> str | None:
        legal = text.isascii() and text.replace("-", "").isalnum() and text == text.lower() and not text.startswith("-")
        return None if legal and len(text) <= 63 else f"a {what} is 1 to 63 small letters, digits and dashes"

    return check


def _device_complaint(text: str, taken: set[str]) -> str | None:
    if text in taken:
        return f"{text} is the name of another device"
    plain = text.replace("-", "").replace("_", "")
    legal = plain.isascii() and plain.isalnum() and text == text.lower() and text[0] not in "-_"
    return None if legal and len(text) <= 32 else "a device's name is 1 to 32 small letters, digits, - and _"


def _profile_complaint(text: str, folder: Path | None) -> str | None:
    try:
        load_profile(text, folder)
    except ConfigError as error:
        return str(error)
    return None


def _some(complaint: str) -> Check:
    return lambda text: None if text else complaint
