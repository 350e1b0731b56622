"""The dialogue: what was found becomes a configuration; what is given is not asked; what is wrong is asked again."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.config import DeviceRole
from edge.devices.identify import Match
from edge.devices.points import Kind
from edge.devices.scan import Found
from edge.errors import ConfigError, DeviceSilent
from edge.inputs.wired import check_loads
from edge.setup.amounts import amount
from edge.setup.console import Check
from edge.setup.dialogue import Answers, run_dialogue
from edge.setup.planes import planes
from edge.setup.proposal import free_name, likely_role, propose
from edge.setup.site_questions import machine_zone
from edge.setup.summary import summary

METER_URL = "tcp://192.0.2.7:502?unit=1"
EXTRA_URL = "tcp://192.0.2.9:502?unit=1"
HYBRID_URL = "tcp://192.0.2.8:502?unit=1"


@dataclass
class Scripted:
    """A person who gives prepared answers, by the words with which a question begins; else the default."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Remember what was shown."""
        self.said.append(text)

    def ask(self, question: str, *, default: str = "", check: Check | None = None) -> str:
        """Answer until the check is content."""
        while True:
            self.asked.append(question)
            answer = self._next(question, default)
            complaint = check(answer) if check is not None else None
            if complaint is None:
                return answer
            self.said.append(complaint)

    def choose(self, question: str, options: Sequence[str], *, default: str) -> str:
        """Choose what was prepared."""
        self.asked.append(question)
        answer = self._next(question, default)
        assert answer in options
        return answer

    def confirm(self, question: str, *, default: bool) -> bool:
        """Answer yes where that was prepared."""
        self.asked.append(question)
        return self._next(question, "yes" if default else "no") == "yes"

    def _next(self, question: str, default: str) -> str:
        for words, prepared in self.answers.items():
            if question.startswith(words) and prepared:
                return prepared.pop(0)
        return default


@dataclass
class Wires:
    """A meter and a hybrid, and one that answers nothing that we know."""

    silent: bool = False
    extra: str = ""
    ratings_more: Mapping[str, float] = field(default_factory=dict)
    scanned: list[str] = field(default_factory=list)

    def scan(self, target: str) -> Sequence[Found]:
        """Return the two devices of the network."""
        self.scanned.append(target)
        if target == "wrong":
            raise ConfigError("'wrong' is neither a host nor a network")
        if target == "192.0.2.9":
            return ()
        return [
            Found(url=METER_URL, models=(), answered="an input read"),
            Found(url=EXTRA_URL if self.extra else HYBRID_URL, models=(1, 103), answered="a holding read"),
        ]

    def identify(self, url: str) -> Sequence[Match]:
        """Return what fits."""
        if self.silent:
            raise DeviceSilent("no reply")
        profile = {METER_URL: "eastron_sdm630", EXTRA_URL: self.extra}.get(url, "fronius_gen24_int")
        return [Match(profile=profile, score=4.0, evidence=("voltage_l1_v reads 230 V",))]

    def ratings(self, url: str, profile: str) -> Mapping[str, float]:
        """Return what the devices say of themselves."""
        hybrid = {"rated_power_w": 8_200.0, "capacity_wh": 11_000.0, "max_charge_power_w": 3_700.0, **self.ratings_more}
        return {HYBRID_URL: hybrid, EXTRA_URL: {"ev_hw_max_current_a": 16.0}}.get(url, {})


def prepared() -> dict[str, list[str]]:
    """Return the answers of an installer who knows the house."""
    return {
        "Name of the site": ["Farm 1", "farm-1"],
        "Scan": ["192.0.2.0/28", ""],
        "Rated generation": ["nine", "9000"],
        "Usable capacity": ["10,5 kWh"],
        "Greatest charging": ["5000"],
        "Greatest import": ["17250"],
        "Greatest export": ["0"],
        "Broker": ["mqtt://192.0.2.1"],
    }


def test_two_found_devices_become_a_site() -> None:
    """The whole way of an installer, with two slips on it."""
    console = Scripted(prepared())
    config = run_dialogue(console, Wires(), Answers())
    assert [(one.id, one.profile, one.role) for one in config.devices] == [
        ("meter", "eastron_sdm630", DeviceRole.METER),
        ("inverter", "fronius_gen24_int", DeviceRole.HYBRID),
    ]
    hybrid = config.devices[1]
    assert hybrid.pv_peak_w == 9_000
    assert hybrid.battery is not None and hybrid.battery.discharge_limit_w == 5_000
    assert (config.connection.meter, config.connection.export_limit_w) == ("meter", 0)
    assert any("small letters" in line for line in console.said) and any(
        "a whole number of W from 0" in line for line in console.said
    )


def test_ratings_that_a_device_tells_are_offered() -> None:
    """An installer reads them off a screen that is on the other side of the house."""
    answers = prepared() | {"Rated generation": [], "Greatest charging": [], "Usable capacity": []}
    hybrid = run_dialogue(Scripted(answers), Wires(), Answers()).devices[1]
    assert hybrid.battery is not None and hybrid.pv_peak_w == 8_200
    battery = hybrid.battery
    assert (battery.capacity_wh, battery.charge_limit_w, battery.discharge_limit_w) == (11_000, 3_700, 3_700)
    more = Wires(ratings_more={"max_discharge_power_w": 4_100.0})
    again = run_dialogue(Scripted(prepared() | {"Greatest charging": []}), more, Answers()).devices[1].battery
    assert again is not None and (again.charge_limit_w, again.discharge_limit_w) == (3_700, 4_100)


def test_place_tariff_idle_failsafe_key_and_page_are_asked_and_summed_up() -> None:
    """What no device tells comes from the installer, and is read once more before it is written."""
    key = base64.b64encode(bytes(range(32))).decode()
    answers = prepared() | {
        "Place": ["here", "48.14, 11.58"],
        "Time zone": ["Berlin", "Europe/Berlin"],
        "Fuse of each phase": ["2", "25 A"],
        "How its panels look": ["30", "5 kW 30 SE; 3 kW 10 W", "6 kW 30 SE; 3 kW 10 270"],
        "How many phases": ["1"],
        "Its public holidays": ["DE-XX", "DE-BY"],
        "Does it trade": ["no"],
        "Its tariff": ["cheap", "de-14a-module-3"],
        "Batteries that nobody": ["hold"],
        "Public key whose": ["mine", key],
        "Import while the grid operator": ["4.2 kW"],
        "Show it to the network": ["yes"],
    }
    config = run_dialogue(Scripted(answers), Wires(), Answers())
    assert (config.site.latitude_deg, config.trading.enabled, config.trading.tariff) == (
        48.14,
        False,
        "de-14a-module-3",
    )
    assert config.connection.phase_limit_w == 25 * 230
    (inverter,) = (device for device in config.devices if device.role is DeviceRole.HYBRID)
    assert [(one.tilt_deg, one.azimuth_deg, one.peak_w) for one in inverter.pv_planes] == [
        (30, 135, 6_000),
        (10, 270, 3_000),
    ]
    assert inverter.phases == (1,)
    assert config.site.holidays == "DE-BY"
    assert config.grid_limits is not None and config.grid_limits.failsafe_import_w == 4_200
    assert [(one.issuer, one.role.value) for one in config.commands.trusted] == [("grid-operator", "grid_operator")]
    assert config.page is not None and (config.page.host, config.page.tls_port) == ("0.0.0.0", 8443)
    assert list(summary(config)) == [
        "farm-1 in home, a consumer, at 48.14, 11.58, by the clock of Europe/Berlin, with the holidays of DE-BY",
        "  connection: meter meter, import up to 17.25 kW, export up to 0 kW, 5.75 kW a phase",
        f"  meter: meter, eastron_sdm630 at {METER_URL}",
        f"  inverter: hybrid, fronius_gen24_int at {HYBRID_URL}, 9 kW of generation, 6 kW at 30° to 135°, "
        "3 kW at 10° to 270°, 10.5 kWh, charges with 5 kW, discharges with 5 kW, on phase 1",
        "  batteries while nobody asks: hold",
        "  trades on no market, tariff de-14a-module-3",
        "  obeys grid-operator (grid_operator); import 4.2 kW while the grid operator is silent",
        "  broker mqtt://192.0.2.1",
        "  page on 0.0.0.0:8080, acting over TLS on port 8443",
    ]


@pytest.mark.parametrize(("may_steer", "agent"), [("yes", "consumer"), ("no", "monitor")])
def test_a_site_without_a_broker_is_asked_nothing_of_a_market(may_steer: str, agent: str) -> None:
    """A house by itself is steered and planned as any other, and has no price area to name."""
    console = Scripted(prepared() | {"Broker": [], "May it steer": [may_steer]})
    config = run_dialogue(console, Wires(), Answers())
    assert (config.link, config.trading.enabled, config.site.agent.value) == (None, False, agent)
    told = list(summary(config))
    assert "  no broker" in told
    assert told[0].startswith(
        f"farm-1, a site by itself, {'steers its devices' if may_steer == 'yes' else 'only reads'}"
    )
    asked_of_market = ("Its price area", "What it does on the market", "Does it trade", "File with", "User name")
    assert not [question for question in console.asked if question.startswith(asked_of_market)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30 S", [(30, 180, 9_000)]),
        ("35° 200°", [(35, 200, 9_000)]),
        ("6 kW 30 se; 3kWp 15 nw", [(30, 135, 6_000), (15, 315, 3_000)]),
        ("6 kW 30 E; 2 kW 30 W", None),
        ("30 S; 30 N", None),
        ("91 S", None),
        ("30 360", None),
        ("30 X", None),
        ("", None),
    ],
)
def test_panels_are_read_as_people_write_them(text: str, found: list[tuple[int, int, int]] | None) -> None:
    """Two roofs are two planes, and together they are the generator."""
    told = planes(text, peak_w=9_000)
    assert (None if told is None else [(one["tilt_deg"], one["azimuth_deg"], one["peak_w"]) for one in told]) == found


def test_the_machine_tells_its_time_zone(tmp_path: Path) -> None:
    """Most gateways hang where their clock says; one whose file names no zone tells none."""
    zones = tmp_path / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Berlin").touch()
    local = tmp_path / "localtime"
    local.symlink_to(zones / "Berlin")
    assert machine_zone(local) == "Europe/Berlin"
    assert machine_zone(tmp_path / "absent") == ""


def test_nothing_more_is_asked_than_the_site_needs() -> None:
    """A site without a grid operator's key has no failsafe, and nobody opens a page by pressing Enter."""
    console = Scripted(prepared())
    config = run_dialogue(console, Wires(), Answers())
    assert config.page is None and config.grid_limits is None and config.commands.trusted == ()
    assert not [question for question in console.asked if question.startswith("Import while")]


@pytest.mark.parametrize(
    ("profile", "answers", "told"),
    [
        ("heidelberg_ec", {"How many phases": ["1"]}, ("ev", 3_680, None, None, "on", (1,))),
        (
            "alfen_eve",
            {"Its rated": ["11 kW"], "What it does while": ["surplus"]},
            ("ev", 11_000, None, None, "surplus", (1, 2, 3)),
        ),
        ("abl_emh1", {}, ("ev", 11_040, None, None, "on", (1, 2, 3))),
        ("phoenix_ev_eth", {"How it is moved": ["switch"]}, ("ev", 11_040, "switch", "ev_enable", "on", (1, 2, 3))),
        ("stiebel_isg", {"Its rated": ["3000"]}, ("heatpump", 3_000, None, "sg_ready_state", "on", (1, 2, 3))),
        ("kmtronic_relay", {"Its rated": ["2 kW"]}, ("load", 2_000, "switch", "relay1", "on", (1, 2, 3))),
    ],
)
def test_every_charger_heat_pump_and_relay_is_set_up_by_the_dialogue(
    profile: str, answers: dict[str, list[str]], told: tuple[object, ...]
) -> None:
    """What is found as a load becomes one, and the gateway starts with it."""
    config = run_dialogue(Scripted(prepared() | answers), Wires(extra=profile), Answers())
    check_loads(config)
    device = config.devices[1]
    assert device.role is DeviceRole.LOAD and device.load is not None
    load = device.load
    assert (device.id, load.rated_w, load.by, load.state, load.rest, device.phases) == told


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("9600", "W", 9_600),
        ("9.6 kW", "W", 9_600),
        ("9,6kWp", "W", 9_600),
        ("10 kwh", "Wh", 10_000),
        ("0.5", "W", None),
        ("10 k", "W", None),
        ("10 kWh", "W", None),
        ("ten", "W", None),
        ("-5", "W", None),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, unit: str, value: int | None) -> None:
    """An installer reads kilowatts off a nameplate."""
    assert amount(text, unit=unit) == value


def test_what_was_given_is_not_asked() -> None:
    """Options and questions are two ways to the same file."""
    console = Scripted({"Rated": ["9000"], "Usable": ["1"], "Greatest charging": ["1"]})
    given = Answers(
        site={"id": "farm", "zone": "east", "agent": "producer"},
        connection={"meter": "meter", "import_limit_w": 1, "export_limit_w": 1},
        link={"url": "mqtt://192.0.2.1"},
        targets=("192.0.2.0/28",),
    )
    run_dialogue(console, Wires(), given)
    assert not [question for question in console.asked if question.startswith(("Name of", "Greatest import", "Broker"))]


def test_a_wrong_target_and_an_empty_one_are_said_and_passed_over() -> None:
    """One slip must not end an hour's work."""
    answers = prepared() | {"Scan": ["wrong", "192.0.2.9", "192.0.2.0/28", ""]}
    console = Scripted(answers)
    assert len(run_dialogue(console, Wires(), Answers()).devices) == 2
    assert "nobody answers at 192.0.2.9" in console.said
    assert not [line for line in console.said if line.endswith(" already")]
    assert any("neither a host nor a network" in line for line in console.said)


def test_each_target_is_looked_at_when_it_is_named() -> None:
    """Who mistypes an address sees it at once, not after the last one; what is there already is said, not asked."""

    @dataclass
    class Watching(Scripted):
        wires: Wires = field(default_factory=Wires)

        def ask(self, question: str, *, default: str = "", check: Check | None = None) -> str:
            if question == "Scan another (empty: go on)":
                assert self.wires.scanned and self.said[-1] not in self.answers
            return super().ask(question, default=default, check=check)

    wires = Wires()
    console = Watching(prepared() | {"Scan": ["192.0.2.9", "192.0.2.0/28", "192.0.2.0/28", ""]}, wires=wires)
    assert len(run_dialogue(console, wires, Answers()).devices) == 2
    assert [question for question in console.asked if question.startswith("Scan")] == [
        "Scan (empty: go on)",
        *["Scan another (empty: go on)"] * 3,
    ]
    assert console.said.index("nobody answers at 192.0.2.9") < console.said.index(f"{METER_URL} is meter already")


def test_maps_that_fit_alike_are_not_chosen_by_their_order() -> None:
    """Five meters hold their voltages at the same registers; the label tells them apart."""
    console = Scripted(prepared())
    run_dialogue(console, Wires(), Answers())
    assert not [line for line in console.said if "No name speaks" in line], "one that leads clearly is no question"

    class Alike(Wires):
        def identify(self, url: str) -> Sequence[Match]:
            first = super().identify(url)
            return [*first, Match(profile="eastron_sdm54", score=first[0].score, evidence=())]

    console = Scripted(prepared())
    run_dialogue(console, Alike(), Answers())
    assert [line for line in console.said if "what is printed on the device decides" in line]


def test_a_device_that_nothing_fits_can_be_given_a_profile_or_left_out() -> None:
    """A device too new for us is the installer's to name; a slip in the name is asked again."""
    answers = prepared() | {
        "Its profile": ["another profile", "leave it out"],
        "Profile": ["no_such", "eastron_sdm630"],
    }
    console = Scripted(answers)
    (only,) = run_dialogue(console, Wires(silent=True), Answers()).devices
    assert only.profile == "eastron_sdm630"
    assert any("there is no profile 'no_such'" in line for line in console.said)


def test_a_site_without_a_meter_is_refused() -> None:
    """Without its connection's meter a site cannot keep a limit."""
    answers = prepared() | {"What it is": ["pv", "pv"], "Rated generation": ["1", "1"]}
    with pytest.raises(ConfigError, match="no device has the role meter"):
        run_dialogue(Scripted(answers), Wires(), Answers())


def test_a_meter_that_was_forgotten_is_asked_for_before_anything_is_lost() -> None:
    """It hangs on another line than the inverters; what was answered so far stands."""
    console = Scripted(prepared() | {"Scan": ["192.0.2.9", "", "192.0.2.0/28", ""]})
    assert len(run_dialogue(console, Wires(), Answers()).devices) == 2
    assert any("No meter yet" in line for line in console.said)
    assert [question for question in console.asked if question.startswith("Name of")] == ["Name of the site"] * 2


@pytest.mark.parametrize(
    ("answers", "url", "shown"),
    [
        (["broker.example:8883"], "mqtts://broker.example:8883", "taken as mqtts://broker.example:8883"),
        (["192.0.2.1:1883"], "mqtt://192.0.2.1:1883", "taken as mqtt://192.0.2.1:1883"),
        (["192.0.2.1"], "mqtts://192.0.2.1", "taken as mqtts://192.0.2.1"),
        (["http://192.0.2.1", "mqtt://192.0.2.1"], "mqtt://192.0.2.1", "is not mqtt://, mqtts://, ws:// or wss://"),
        (["192.0.2.1:99999", "mqtt://192.0.2.1"], "mqtt://192.0.2.1", "or mqtt://HOST:1883 without encryption"),
        (["mqtt://farm:secret@192.0.2.1", "mqtt://192.0.2.1"], "mqtt://192.0.2.1", "carries a user or password"),
    ],
)
def test_a_broker_is_named_by_host_and_port_and_a_slip_is_asked_again(answers: list[str], url: str, shown: str) -> None:
    """What cannot be used is said at its question, not after the last one."""
    console = Scripted(prepared() | {"Broker": answers})
    link = run_dialogue(console, Wires(), Answers()).link
    assert link is not None and link.url == url
    assert any(shown in line for line in console.said)


def test_an_encrypted_link_asks_for_its_files() -> None:
    """A certificate without its key is no identity; AWS IoT Core is recognised by its name."""
    answers = prepared() | {
        "Broker": ["mqtts://x-ats.iot.eu-central-1.amazonaws.com:8883"],
        "File with the broker": ["/etc/sitewatt/ca.pem"],
        "File with our": ["/etc/sitewatt/cert.pem"],
        "File with its key": ["", "/etc/sitewatt/key.pem"],
    }
    link = run_dialogue(Scripted(answers), Wires(), Answers()).link
    assert link is not None
    assert (link.client.value, str(link.key_file)) == ("aws", "/etc/sitewatt/key.pem")


def test_a_gateway_of_a_fleet_has_its_certificate_from_there() -> None:
    """It is asked for no file of it; a mistyped key is asked for again."""
    answers = prepared() | {
        "Broker": ["mqtts://x-ats.iot.eu-central-1.amazonaws.com"],
        "Public key that signs": ["AAAA", "A" * 43 + "="],
    }
    console = Scripted(answers)
    made = run_dialogue(console, Wires(), Answers())
    assert made.link is not None
    assert (made.link.client.value, made.fleet is not None) == ("aws", True)
    assert str(made.link.cert_file) == "/var/lib/sitewatt/identity/active/cert.pem"
    assert "it must be an Ed25519 public key of 32 bytes in base64, this has 3" in console.said
    assert not any(question.startswith("File with our") for question in console.asked)


def test_a_user_needs_a_file_for_the_password() -> None:
    """A password never stands in a configuration."""
    answers = prepared() | {"User name": ["farm"], "File with the password": ["", "/etc/sitewatt/password"]}
    link = run_dialogue(Scripted(answers), Wires(), Answers()).link
    assert link is not None
    assert (link.username, str(link.password_file)) == ("farm", "/etc/sitewatt/password")


def test_roles_and_names_are_proposed() -> None:
    """Enter, enter, enter is how most sites are set up."""
    assert likely_role({Kind.METER, Kind.INVERTER, Kind.BATTERY}) is DeviceRole.HYBRID
    assert likely_role({Kind.METER, Kind.INVERTER}) is DeviceRole.PV
    assert likely_role({Kind.RELAY}) is DeviceRole.LOAD
    assert free_name(DeviceRole.PV, {"pv", "pv-2"}) == "pv-3"


def test_two_profiles_that_fit_alike_are_not_clear() -> None:
    """Values that merely could be must not choose a register map on their own."""
    first, second = (Match(profile=name, score=score, evidence=()) for name, score in (("a", 4.0), ("b", 3.5)))
    assert not propose(METER_URL, [first, second]).clear
    assert propose(METER_URL, [first]).clear
    assert not propose(METER_URL, []).clear
