"""``sitewatt profile``: which devices there are, what a map says, a new one, whether one of your own is sound."""

from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import reason_of
from sitewatt.commands.profile_new import new
from sitewatt.output import BAD_INPUT, FAILED, fail, print_json, tell

app = typer.Typer(help="Register maps of devices.", no_args_is_help=True)
app.command()(new)

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Profiles = Annotated[Path | None, typer.Option("--profiles", help="A folder whose profiles go before ours.")]


@app.command("list")
def list_(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/devices.md.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the format.")] = False,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Name the profiles."""
    from edge.devices.catalogue import json_schema, list_profiles
    from edge.devices.document import markdown as page
    from edge.errors import ConfigError

    if schema:
        typer.echo(json_schema(), nl=False)
        return
    try:
        names = list_profiles(profiles)
    except ConfigError as error:
        fail(str(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    known = [_load(name, profiles, as_json) for name in names]
    if markdown:
        typer.echo(page(known), nl=False)
        return
    if as_json:
        print_json({"profiles": [_summary(profile) for profile in known]})
        return
    for profile in known:
        told = ", ".join(profile.capabilities) or "read only"
        tell(f"{profile.id:22} {profile.vendor}: {', '.join(profile.models)} ({told})")


@app.command()
def show(
    *,
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Its id.")],
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Say everything that a profile knows."""
    one = _load(profile, profiles, as_json)
    if as_json:
        print_json(one.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
        return
    tell(f"{one.id}: {one.vendor} {', '.join(one.models)}; {', '.join(one.kinds)}; {one.status}")
    for note in one.notes:
        tell(f"  - {note}")
    for name, point in one.points.items():
        where = f"{point.table or one.defaults.table} {point.address}"
        if point.model is not None:
            where = f"model {point.model} at {point.at}"
        tell(f"  {name:32} {where:22} {point.type:9} {point.unit:4} {point.access:2} {point.canonical}")
    for name, derived in one.derived.items():
        tell(f"  {name:32} {'derived':22} {'':9} {derived.unit:4}    {derived.canonical}")
    for lever, recipes in one.capabilities.items():
        for recipe in recipes:
            silence = recipe.fallback
            tell(f"  can: {lever}; in silence: {silence.direction} ({silence.armed_by or silence.after_s})")


@app.command()
def check(
    *,
    profile: Annotated[str, typer.Argument(metavar="PROFILE|FILE", help="An id, or a file of your own.")],
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Prove a profile complete: every field there, every name known, every point planned and within its limits."""
    from edge.devices.catalogue import keys_of, known_names, parse_profile
    from edge.devices.every_fault import every_fault
    from edge.devices.offline import plan_profile
    from edge.devices.profile_check import faults
    from edge.errors import ConfigError
    from edge.modbus.cost import tcp_cost

    path = Path(profile)
    if path.suffix == ".yaml":
        try:
            text = path.read_text(encoding="utf-8")
            if said := every_fault(keys_of(path.stem, text), known=known_names()):
                fail(f"profile {path.stem}: {'; '.join(said)}", code="bad_profile", as_json=as_json)
            one = parse_profile(path.stem, text)
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{path} cannot be read: {reason_of(error)}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
        except ConfigError as error:
            fail(str(error), code="bad_profile", as_json=as_json, exit_code=FAILED)
    else:
        one = _load(profile, profiles, as_json, exit_code=FAILED)
    if found := faults(one, known=known_names()):
        fail(f"profile {one.id}: {'; '.join(found)}", code="bad_profile", as_json=as_json)
    plan = plan_profile(one, tcp_cost())
    if plan.unreadable:
        names = ", ".join(point.name for point in plan.unreadable)
        fail(f"profile {one.id}: {names} cannot be read within its limits", code="unreadable", as_json=as_json)
    answer = _summary(one) | {"requests": len(plan.blocks)}
    if as_json:
        print_json(answer)
    else:
        tell(f"{one.id} is sound: {len(one.points)} points in {len(plan.blocks)} requests")


def _load(name: str, profiles: Path | None, as_json: bool, *, exit_code: int = BAD_INPUT) -> Any:
    from edge.devices.catalogue import load_profile
    from edge.errors import ConfigError

    try:
        return load_profile(name, profiles)
    except ConfigError as error:
        fail(str(error), code="bad_profile", as_json=as_json, exit_code=exit_code)


def _summary(profile: Any) -> dict[str, Any]:
    return {
        "id": profile.id,
        "vendor": profile.vendor,
        "models": list(profile.models),
        "kinds": [kind.value for kind in profile.kinds],
        "status": profile.status.value,
        "points": len(profile.points),
        "capabilities": [lever.value for lever in profile.capabilities],
    }
