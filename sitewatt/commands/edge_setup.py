"""``sitewatt edge setup`` and ``sitewatt edge check``: a site in an hour, and the proof that it will run."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt.commands.edge_config import load_site
from sitewatt.device_tools import Progress
from sitewatt.output import BAD_INPUT, FAILED, INTERRUPTED, fail, print_json, tell
from sitewatt.prompts import ask, confirm

DEFAULT_CONFIG = Path("/etc/sitewatt/site.yaml")
DEFAULT_STATE = Path("/var/lib/sitewatt")
DEVICE_FORM = (
    "ID,PROFILE,URL,ROLE[,pv_peak_w=W][,capacity_wh=WH,charge_limit_w=W,discharge_limit_w=W][,phases=1+2][,trust=one-source]"
    "[,rated_w=W,min_w=W,rest=on|off|surplus,by=limit_consumption|switch|sg_ready,state=POINT]; 10000 or 10 kW"
)

_LEFT = "nothing was written"
_MARKS = {"good": "ok  ", "warning": "note", "failed": "FAIL"}

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(setup)
    app.command()(check)


def check(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration.")] = DEFAULT_CONFIG,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no device and no broker.")] = False,
    timeout: Annotated[float, typer.Option(min=0.5, max=300, help="Seconds that devices may take.")] = 20.0,
    as_json: _Json = False,
) -> None:
    """Prove a configuration: schema, devices, values, bus load, link, clock, disk; each line with what to do.

    Reads only. Exit 0 sound (notes are allowed), 1 something failed, 2 the configuration cannot be used.
    """
    from contracts.clock import SystemClock
    from edge.setup.finding import good, is_sound
    from edge.setup.offline import check_offline

    site = load_site(config, as_json=as_json, otherwise="the gateway does not start")
    findings = [good("schema", str(config), f"site {site.site.id} with {len(site.devices)} devices is well-formed")]
    findings += check_offline(site, clock=SystemClock())
    if not offline and is_sound(findings):
        from edge.setup.online import LINK_TIMEOUT_S, check_online

        progress = Progress()
        progress.show(f"asking the devices, and the broker where there is one: up to {timeout:.0f} s")
        try:
            with _quiet():
                findings += asyncio.run(
                    check_online(site, devices_timeout_s=timeout, link_timeout_s=min(timeout, LINK_TIMEOUT_S))
                )
        finally:
            progress.clear()
    sound = is_sound(findings)
    if as_json:
        devices = [device.id for device in site.devices]
        print_json(
            {"site": site.site.id, "devices": devices, "ok": sound, "findings": [one.as_dict() for one in findings]}
        )
    else:
        for one in findings:
            tell(f"{_MARKS[one.grade]}  {one.check:9} {one.subject}: {one.said}")
            if one.do:
                tell(f"                → {one.do}")
        if not sound and not offline and all(one.check not in ("answers", "link") for one in findings):
            tell("devices and link were not asked: correct the above first")
    if not sound:
        raise typer.Exit(FAILED)


def setup(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="What is written.")] = DEFAULT_CONFIG,
    site: Annotated[str | None, typer.Option(help="Name of the site.")] = None,
    zone: Annotated[str | None, typer.Option(help="Its price area.")] = None,
    agent: Annotated[str | None, typer.Option(help="producer, consumer or monitor.")] = None,
    scan: Annotated[list[str] | None, typer.Option(metavar="TARGET", help="A host, a network, a serial line.")] = None,
    device: Annotated[list[str] | None, typer.Option(metavar="DEVICE", help=DEVICE_FORM)] = None,
    meter: Annotated[str | None, typer.Option(help="The device at the connection point.")] = None,
    import_limit_w: Annotated[str | None, typer.Option(metavar="W", help="Greatest import: 17250 or 17.25 kW.")] = None,
    export_limit_w: Annotated[str | None, typer.Option(metavar="W", help="Greatest export, a magnitude.")] = None,
    link_url: Annotated[
        str | None, typer.Option(help="The broker, HOST:PORT or mqtts://HOST:8883; none without.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="The broker's authority.")] = None,
    cert_file: Annotated[Path | None, typer.Option(help="Our certificate.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    username: Annotated[str | None, typer.Option(help="User at the broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    update_key: Annotated[str | None, typer.Option(help="Of a fleet: the public key that signs its updates.")] = None,
    aws: Annotated[bool, typer.Option("--aws", help="The broker is AWS IoT Core.")] = False,
    place: Annotated[
        str | None, typer.Option(metavar="LAT,LON", help="Where the sun is looked up: 48.14,11.58.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="Clock of its days, where no tariff tells one.")] = None,
    tariff: Annotated[str | None, typer.Option(help="A ready one, see sitewatt tariff list.")] = None,
    market: Annotated[bool | None, typer.Option("--market/--no-market", help="Whether it trades.")] = None,
    idle: Annotated[str | None, typer.Option(help="self_consumption or hold, while nobody asks.")] = None,
    failsafe_import: Annotated[
        str | None, typer.Option(metavar="W", help="Import while the grid operator is silent, section 14a: 4.2 kW.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Show a page to the network of the house.")] = False,
    state_dir: Annotated[Path, typer.Option(help="Where the outbox is kept.")] = DEFAULT_STATE,
    profiles: Annotated[Path | None, typer.Option(help="A folder whose profiles go before ours.")] = None,
    browser: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ask in a browser, over TLS: 0.0.0.0:8443.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; what is missing is an error.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration, keeping it as FILE.old.")] = False,
    as_json: _Json = False,
) -> None:
    """Set a gateway up: scan, identify, name, limits, link; write a commented configuration. Reads devices only.

    With --browser the same is asked in a browser, of whoever gives the code that stands here. Exit 0 written, 1 not
    confirmed, 2 what was given cannot be used or written.
    """
    from edge.errors import ConfigError
    from edge.setup.dialogue import Answers, broker_url, run_dialogue
    from edge.setup.document import write_config
    from edge.setup.site_questions import PAGE_OF_HOUSE
    from edge.setup.summary import summary

    try:
        if config.exists() and not force and (yes or as_json or not _is_blank(config)):
            sentence = f"{config} is there already; --force replaces it and keeps it as {config.name}.old"
            fail(sentence, code="exists", as_json=as_json, exit_code=BAD_INPUT)
        answers = Answers(
            site=_given(id=site, zone=zone, agent=agent, time_zone=time_zone) | _where(place),
            connection=_given(
                meter=meter,
                import_limit_w=_power("--import-limit-w", import_limit_w, low=1),
                export_limit_w=_power("--export-limit-w", export_limit_w, low=0),
            ),
            devices=[_device(text) for text in device or []],
            link=_given(
                url=link_url and broker_url(link_url),
                client="aws" if aws else None,
                ca_file=ca_file,
                cert_file=cert_file,
                key_file=key_file,
                username=username,
                password_file=password_file,
            ),
            fleet=_given(update_key=update_key),
            trading=_given(enabled=market, tariff=tariff),
            control=_given(idle=idle),
            grid_limits=_given(failsafe_import_w=_power("--failsafe-import", failsafe_import, low=0)),
            page=dict(PAGE_OF_HOUSE) if page else {},
            state_dir=state_dir,
            profile_dir=profiles,
            targets=tuple(scan or ()),
        )
        if yes or as_json:
            if scan:
                sentence = (
                    "--scan looks for devices and asks which they are, and with --yes or --json nothing is asked; "
                    "name each with --device, as `sitewatt device scan` and `device identify` tell them"
                )
                fail(sentence, code="scan", as_json=as_json, exit_code=BAD_INPUT)
            made = _complete(answers)
        elif browser is not None:
            from sitewatt.commands.edge_setup_browser import set_up_in_browser

            made = set_up_in_browser(
                browser, config, lambda console: run_dialogue(console, _Wires(profiles, console.say), answers)
            )
        else:
            made = run_dialogue(_Terminal(), _Wires(profiles), answers)
            for line in summary(made):
                tell(line)
            if not confirm(f"Write {config}?", default=True, left=_LEFT):
                fail("nothing was written", code="not_confirmed", as_json=as_json)
        if browser is None or yes or as_json:
            write_config(config, made)
    except KeyboardInterrupt:  # Between two questions, as while a network is asked.
        tell(f"ended before all was answered; {_LEFT}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except ConfigError as error:
        fail(str(error), code="config", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        fail(f"{config} cannot be written: {error.strerror}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({"config": str(config), "site": made.site.id, "devices": [one.id for one in made.devices]})
    else:
        tell(f"{config} is written. Next: sitewatt edge check --config {config}")


class _Terminal:
    """A person at a terminal."""

    def say(self, text: str) -> None:
        """Show a line."""
        tell(text)

    def ask(self, question: str, *, default: str = "", check: Any = None) -> str:
        """Return the answer; it is asked again while ``check`` returns a complaint."""
        while True:
            answer = ask(question, default=default, left=_LEFT)
            complaint = check(answer) if check is not None else None
            if complaint is None:
                return answer
            tell(f"  {complaint}")

    def choose(self, question: str, options: Sequence[str], *, default: str) -> str:
        """Return one of the options, named by its number or by itself."""
        for number, option in enumerate(options, 1):
            tell(f"  {number}  {option}")
        while True:
            answer = ask(question, default=str(options.index(default) + 1), left=_LEFT)
            if answer in options:
                return answer
            if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(options):
                return options[int(answer) - 1]
            tell(f"  a number from 1 to {len(options)}")

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no."""
        return confirm(question, default=default, left=_LEFT)


class _Wires:
    """What the tools of ``sitewatt device`` do, one call at a time."""

    def __init__(self, profiles: Path | None, say: Callable[[str], None] = tell) -> None:
        self._profiles = profiles
        self._say = say

    def scan(self, target: str) -> list[Any]:
        """Return who answers at a host, a network or a serial line."""
        from edge.devices.target import search, target_of

        progress = Progress()

        async def look() -> list[Any]:
            return [one async for one in search(target_of(target), on_progress=progress.show)]

        self._say(f"asking {target} …")
        try:
            return asyncio.run(look())
        finally:
            progress.clear()

    def identify(self, url: str) -> Sequence[Any]:
        """Return the profiles that fit, the best first."""
        from edge.devices.catalogue import list_profiles
        from edge.devices.identify import identify

        return asyncio.run(identify(url, list_profiles(self._profiles), self._profiles))

    def ratings(self, url: str, profile: str) -> dict[str, float]:
        """Return what a device says that it can do at most; nothing where it does not answer any more."""
        from edge.devices.catalogue import load_profile
        from edge.devices.session import open_session
        from edge.errors import EdgeError
        from edge.setup.device_questions import RATINGS

        found = load_profile(profile, self._profiles)
        asked = {name: spec.canonical for name, spec in found.points.items() if spec.canonical in RATINGS}

        async def ask() -> dict[str, float]:
            ratings: dict[str, float] = {}
            async with open_session(found, url) as session:
                for name, decoded in (await session.read(list(asked))).items():
                    if name in asked and (value := _told(decoded)):  # Of a nameplate and a setting, the lesser.
                        ratings[asked[name]] = min(value, ratings.get(asked[name], value))
            return ratings

        try:
            return asyncio.run(ask()) if asked else {}
        except EdgeError as error:
            self._say(f"it does not tell its ratings: {error}")
            return {}


def _told(decoded: Any) -> float | None:
    value = decoded.canonical_value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _complete(answers: Any) -> Any:
    """Return the configuration of answers that were all given; a single meter and a zone without a broker need none.

    Raises:
        ConfigError: Something is missing or wrong, or a device names a profile that nobody has.
    """
    from edge.devices.catalogue import load_profile

    for device in answers.devices:
        if "profile" in device:
            load_profile(str(device["profile"]), answers.profile_dir)
    meters = [device["id"] for device in answers.devices if device.get("role") == "meter"]
    if "meter" not in answers.connection and len(meters) == 1:
        answers.connection["meter"] = meters[0]
    if not answers.link:
        answers.alone()
    return answers.config()


def _device(text: str) -> dict[str, Any]:
    """Return the section of a device that was given as an option.

    Raises:
        ConfigError: It has not that form.
    """
    from edge.errors import ConfigError

    parts = text.split(",")
    if len(parts) < 4 or any("=" not in part for part in parts[4:]):
        raise ConfigError(f"--device {text!r} has not the form {DEVICE_FORM}")
    device: dict[str, Any] = dict(zip(("id", "profile", "url", "role"), parts[:4], strict=True))
    more = {
        name.strip(): _amount(name.strip(), value) for name, _, value in (part.partition("=") for part in parts[4:])
    }
    if "pv_peak_w" in more:
        device["pv_peak_w"] = more.pop("pv_peak_w")
    if "trust" in more:
        device["trust"] = more.pop("trust")
    if "phases" in more:
        device["phases"] = more.pop("phases").split("+")
    section = "load" if device["role"] == "load" else "battery"
    return device | ({section: more} if more else {})


def _amount(name: str, value: str) -> str:
    """Return an amount as the configuration has it; what is none is left for the configuration to refuse."""
    from edge.setup.amounts import amount

    unit = {"w": "W", "wh": "Wh"}.get(name.rpartition("_")[2])
    number = None if unit is None else amount(value, unit=unit)
    return value if number is None else str(number)


def _where(place: str | None) -> dict[str, Any]:
    """Return the keys of a place that was given as an option.

    Raises:
        ConfigError: It is none.
    """
    from edge.errors import ConfigError
    from edge.setup.site_questions import place as place_of

    if place is None:
        return {}
    if (found := place_of(place)) is None:
        raise ConfigError(f"--place is {place!r}, must be degrees as 48.14,11.58; nothing was written")
    return dict(found)


def _power(option: str, text: str | None, *, low: int) -> int | None:
    """Return a power in W that was given as an option.

    Raises:
        ConfigError: It is none, or below ``low``.
    """
    from edge.errors import ConfigError
    from edge.setup.amounts import amount

    power_w = None if text is None else amount(text, unit="W")
    if text is not None and (power_w is None or power_w < low):
        raise ConfigError(
            f"{option} is {text!r}, must be a power from {low} W on, as 4200 or 4.2 kW; nothing was written"
        )
    return power_w


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _is_blank(config: Path) -> bool:
    """Return whether a file says nothing yet, as the one that a fresh installation brings."""
    lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    return all(not line.strip() or line.startswith("#") for line in lines)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the parts log out of the answer: the findings say it."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
