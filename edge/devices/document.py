"""The profiles as a page for people: which devices there are, what can be told to each, and what happens in silence."""

from collections.abc import Iterable

from edge.devices.points import Evidence
from edge.devices.profile import Profile
from edge.devices.recipes import Direction, Fallback, Lever, Storage

_LEVER = {
    Lever.LIMIT_GENERATION: "limit generation",
    Lever.BATTERY_POWER: "battery power",
    Lever.SWITCH: "switch",
    Lever.EXPORT_LIMIT: "export limit",
    Lever.GRID_SETPOINT: "grid setpoint",
    Lever.LIMIT_CONSUMPTION: "limit consumption",
    Lever.SG_READY: "SG Ready",
}
_DIRECTION = {
    Direction.RELEASED: "the limit is lifted",
    Direction.SELF_CONSUMPTION: "self-consumption",
    Direction.FAILSAFE_VALUE: "its failsafe value",
    Direction.PASS_THROUGH: "pass-through",
    Direction.KEEPS: "**keeps it for ever**",
}

HEAD = """# Devices

This page is written by `sitewatt profile list --markdown`; a test keeps it fresh. Every map names its public sources in
its own file (`device_profiles/*.yaml`). None of them was run against hardware by us: *two sources* means that two
public projects of different origin agree on address, type and scale of most points.

A profile is a YAML file; `device_profiles/schema.json` describes it, `sitewatt profile check FILE` proves one. A folder
of your own (`profile_dir` in the site's configuration, `--profiles DIR` at the tools) goes before ours: copy a file,
change a line, done.

Signs are ours: power is positive into the asset. A profile says how its device counts (`sign: out_of_asset` is turned);
`unconfirmed` signs are kept as the device has them and need a look at commissioning.

"""

# Eight steps; a test runs each command of it as it stands here.
HOW_TO = """## A new device in ten minutes

1. Save its register list as CSV, a line for each register that the gateway needs. Headings and types are taken as
   vendors write them; `gain` 10 is `scale` 0.1, `lever` says what a register moves, `silence` after how many seconds
   without a word the device lets go of it (`keeps`: never). `acme.csv`:

   ```csv
   name,address,type,count,gain,unit,access,min,max,sign,lever,silence
   Charging state,40001,STR,1,,,R,,,,,
   Voltage L1,40002,U16,,10,V,R,,,,,
   Active power,40011,I32,,1,W,R,,,into_asset,,
   Grid power,40013,I32,,1,W,R,,,into_asset,,
   Total energy,40015,U32,,100,kWh,R,,,,,
   Current limit,40101,U16,,10,A,RW,0,32,,limit_consumption,60
   ```

2. Make the profile; what was guessed is named, and a sign that nobody gave is `unconfirmed`.

   ```console
   sitewatt profile new acme --csv acme.csv --addresses modicon --kind charger --kind meter --out profiles/acme.yaml
   ```

3. Prove it complete.

   ```console
   sitewatt profile check profiles/acme.yaml
   ```

4. Play it, with a home and a car behind it. The simulated device reads the same map as the gateway: it proves the
   plumbing, and says itself that it is no witness of the registers.

   ```console
   sitewatt sim device --profile profiles/acme.yaml --port 5020
   ```

5. Read it (in front of the real device: compare each value with its display).

   ```console
   sitewatt device read "tcp://127.0.0.1:5020?unit=1" --profiles profiles --profile acme
   ```

6. Set a site up with it. A map that one source tells is read, and written only where you say so: `trust=one-source`.

   ```console
   sitewatt edge setup --yes --config site.yaml --state-dir state --site home --zone de --agent producer \\
     --profiles profiles \\
     --device "ev,acme,tcp://127.0.0.1:5020?unit=1,load,rated_w=11000,rest=on,trust=one-source" \\
     --device "meter,acme,tcp://127.0.0.1:5020?unit=1,meter" \\
     --import-limit-w 6000 --export-limit-w 9000 --link-url mqtt://127.0.0.1:1883
   ```

7. Prove the site.

   ```console
   sitewatt edge check --config site.yaml --offline
   ```

8. Run it: the car charges with what the connection leaves.

   ```console
   sitewatt edge run --config site.yaml
   ```

No list? `sitewatt profile new acme --scan "tcp://192.168.1.60:502?unit=1" --seen active_power_w=1234` looks at the
registers of the device (read-only) and proposes those that hold a grid voltage, a frequency, or what its display shows.

"""

# What a device does, what the gateway does about it.
QUIRKS = (
    (
        "a sum for control is made of slowly read points",
        "its parts are read with each cycle; `edge check` names levers",
    ),
    ("one torn sample far beyond the fuse", "invalid for that cycle, counted, named; twice the rating or connection"),
    ("the state of charge falls at once", "held back until five samples agree"),
    ("a write is refused, or confirmed and not kept", "three tries, then 10 s to 10 min; alarm with the usual cause"),
    ("leave to charge from the grid is not given", "not asked for while its own generation is the surplus"),
    ("a power below zero in a register printed as unsigned", "signed in the map; `profile check` finds such points"),
    (
        "an answer names unit 0 or 255",
        "taken where the transaction id fits; 0 on a line too, where no other answer is due",
    ),
    ("a half-duplex adapter repeats the request", "the echo is dropped"),
    ("its word order turns, or its SunSpec models move", "told by points that are polled, and learned anew"),
    (
        "most of what has bounds cannot be",
        "nothing of it is believed and nothing written until it can; the status says why",
    ),
    ("a SunSpec chain ends in zeros", "zeros end it, and a length that no device has"),
    ("model 1 does not count its pad register", "the next model is looked for one register later"),
    ("repeating SunSpec blocks, as many as it has", "all are read; a sum leaves out inputs that are not there"),
    ("points, meanings and scales that go by firmware or by a code", "`when:` in the profile; watched, and read anew"),
    ("a clock in three or six registers, in local time, torn", "compared a time zone aside; wrong at the second look"),
    ("a counter goes round, falls, or is zero at wake-up", "`counter:` in the profile says so, and it goes on rising"),
    (
        "it keeps an export limit, or a power at the grid, by its own meter",
        "told the site's bound, or what is wanted there",
    ),
    ("its limit takes no zero, or zero is no pause", "it pauses by the register that it has for it"),
    (
        "a charger can use one phase or three",
        "told one where too little is left for all, each 5 min at most: lower current, phases, whole current",
    ),
    ("its watchdog takes any message", "not read once no control cycle looked at it for 60 s"),
    ("texts filled with 0xFF, or one character a register", "read as text, in UTF-8 or Latin-1"),
    ("exception 4, 5, 6, 10 or 11 in passing", "asked again; what stays is told with its name"),
    ("a TCP port that is open and silent", "`device scan`, `read` and `identify` say what to try (`rtuovertcp://`)"),
    (
        "deaf for a while after the connection opens",
        "a profile may ask for a pause; the tools stay with it and ask again",
    ),
    (
        "the header of a SunSpec model is refused with 4, 5 or 6 each time",
        "the models before it are used where a power is among them, and the chain is walked again each minute; else the"
        " header, the refusal and what was found before it are told",
    ),
    ("answers hold fewer registers than were asked for", "never data; `device read`, `scan` and `identify` say so"),
    (
        "one register is a failure of the device (4), or busy (6), for ever",
        "the others of its block are read without it",
    ),
    ("it closes the connection in that pause", "the next pause is a quarter as long"),
    ("it answers whatever unit is asked, or also as 0 and 255", "listed once"),
    ("a register is missing, or one value cannot be", "`device identify` counts it less and names it"),
    ("silence about registers that it does not have", "taken for the register's, as long as it answers others; named"),
)


# Brands of which a list of registers was looked for in vain, or that are read by another map: brand, what serves.
_WITHOUT: tuple[tuple[str, str], ...] = (
    (
        "Enphase IQ Gateway",
        "`sunspec_generic_int`: it answers as SunSpec models 701 and 704 (evcc, enphase-modbus.yaml, b29b49e)",
    ),
    (
        "Kaco blueplanet TX, NX",
        "`sunspec_generic_int`: it answers as SunSpec (openWB, kaco_tx, 3039a21); its own protocol is HTTP",
    ),
    (
        "Shelly relays",
        "none: two lists made from the vendor's pages (mbmap-library, Pro 4PM and 2PM Gen4, revision 1) contradict "
        "each other on which of them have a coil, and its page of the switch could not be read to its table of "
        "registers; what a Pro EM or Pro 3EM measures has maps (`shelly_pro_em`, `shelly_pro_3em`)",
    ),
    (
        "Huawei chargers",
        "OCPP, as evcc speaks to SCharger-7KS-S0 and 22KT-S0 (ocpp-huawei.yaml, b29b49e). Behind an EMMA their "
        "registers tell voltages, energy and temperature, neither power nor state, and take nothing "
        "(huawei-solar-lib, 873c1b3; WookyDO's huawei_emma_charger, 17b55b6); in scharger_huawei_modbus (emavap, "
        "a7f4743) the charger is the client and the energy manager its server",
    ),
    ("Iskra WM1, WM3, MC, IE", "none: what their counters count is a setting of each; WM3M4 has a map (`iskra_wm3m4`)"),
    (
        "Vaillant gateways",
        "none: eBUS and EEBus. ise's smart connect Modbus Vaillant (product manual, S-0002-007, firmware 1.0, pages "
        "17, 19 and 20) reads a geoTHERM/3 each two minutes or more: temperatures and whether the compressor runs, "
        "no power, no energy and no SG Ready; a relay switches those contacts (`kmtronic_relay`)",
    ),
    (
        "Daikin Altherma 4",
        "`daikin_home_hub`: one source gives it the registers of the hub (evcc, daikin-homehub.yaml, b29b49e)",
    ),
)


def markdown(profiles: Iterable[Profile]) -> str:
    """Return the page."""
    known = list(profiles)
    lines = [HEAD + HOW_TO + "## Supported devices\n"]
    lines.append("| profile | vendor and models | is a | points | sources | can be told |")
    lines.append("|---|---|---|---|---|---|")
    for profile in known:
        told = ", ".join(_LEVER[lever] for lever in profile.capabilities) or "nothing"
        lines.append(
            f"| `{profile.id}` | {profile.vendor}: {', '.join(profile.models)} | {', '.join(profile.kinds)} "
            f"| {len(profile.points)} | {_evidence(profile.status)} | {told} |"
        )
    lines += ["", "## Brands without a map of their own", ""]
    lines.append(
        "Looked for in evcc, openWB, OpenEMS, integrations of Home Assistant and vendors' pages; who has a list"
    )
    lines.append("makes a map of it in ten minutes, as above.")
    lines += ["", "| brand | what serves |", "|---|---|"]
    lines += [f"| {brand} | {serves} |" for brand, serves in _WITHOUT]
    lines += ["", "## What happens when we fall silent", ""]
    lines.append(
        "A lever without a timer stays as it was last set when the gateway dies: the page of the gateway says so,"
    )
    lines.append("and such a device needs a wired relay where the site must keep an export limit.")
    lines += ["", "| profile | lever | after | then | shown |", "|---|---|---|---|---|"]
    for profile in known:
        for lever, recipes in profile.capabilities.items():
            for recipe in recipes:
                fallback = recipe.fallback
                note = f" ({fallback.note})" if fallback.note else ""
                shown = "vendor or device" if fallback.proven else "the map only"
                lines.append(
                    f"| `{profile.id}` | {_LEVER[lever]} | {_after(fallback)} | {_DIRECTION[fallback.direction]}{note} "
                    f"| {shown if fallback.has_timer else 'n/a'} |"
                )
    lines += ["", "## Memory that wears out", ""]
    lines.append("Writes to these points are counted and refused beyond their daily budget.")
    lines += ["", "| profile | points | writes a day |", "|---|---|---|"]
    for profile in known:
        flash = {name: rule for name, rule in profile.writes.items() if rule.storage is Storage.FLASH}
        if flash:
            budgets = sorted({rule.daily_budget for rule in flash.values() if rule.daily_budget is not None})
            lines.append(f"| `{profile.id}` | {', '.join(flash)} | {', '.join(map(str, budgets))} |")
    lines += ["", "## Links", "", "| profile | framing | port | unit | registers a read | silence | clients |"]
    lines.append("|---|---|---|---|---|---|---|")
    for profile in known:
        link = profile.link
        unit = link.unit_note or str(link.unit)
        serial = f" {link.serial.baud} {link.serial.format}" if link.serial else ""
        silence = f"{link.min_gap_ms} ms" if link.min_gap_ms else "the line's own"
        lines.append(
            f"| `{profile.id}` | {link.framing}{serial} | {link.port or 'serial'} | {unit} | {link.max_registers} "
            f"| {silence} | {link.max_clients or 'not known'} |"
        )
    lines += ["", "## Quirks that are handled", "", "| the device | the gateway |", "|---|---|"]
    lines += [f"| {device} | {gateway} |" for device, gateway in QUIRKS]
    return "\n".join(lines) + "\n"


def _evidence(status: Evidence) -> str:
    return "two sources" if status is Evidence.TWO_SOURCES else "one source"


def _after(fallback: Fallback) -> str:
    if fallback.armed_by is not None:
        return f"its own timer, `{fallback.armed_by}`"
    return "never" if fallback.after_s is None else f"{fallback.after_s:g} s"
