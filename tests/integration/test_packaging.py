"""The built wheel works away from the checkout, each side without the other's dependencies."""

import json
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from sitewatt.extras import extra_of
from tests.support.command_lines import LINES, made_in
from tests.support.extra_alone import lay_out, run

REPOSITORY = Path(__file__).parents[2]
OURS = {"contracts", "domain", "device_profiles", "tariffs", "page_parts", "edge", "cloud", "firmware_sim", "sitewatt"}

_IMPORT_ALL = """
import importlib, pkgutil, sys
root, *left_out = sys.argv[1:]
def fail(name): raise ImportError(name)
package = importlib.import_module(root)
names = [m.name for m in pkgutil.walk_packages(package.__path__, root + ".", onerror=fail)]
for name in names:
    if name.endswith("__main__") or any(name == out or name.startswith(out + ".") for out in left_out):
        continue
    importlib.import_module(name)
print(len(names))
"""

# What a gateway with a charging station that calls loads besides.
_STATIONS = ["edge.ocpp.server", "edge.ocpp.session", "edge.ocpp.frames", "edge.devices.station_opening"]
# Extra, package, modules that belong to another extra, and what must not have come along.
CASES = [
    pytest.param(
        "edge",
        "edge",
        [*_STATIONS, "edge.links.aws", "edge.links.aws_client", "edge.fleet.aws_service"],
        ["boto3", "pyarrow", "pandas", "amqtt"],
        id="edge",
    ),
    pytest.param("edge,aws", "edge", _STATIONS, ["boto3", "pyarrow", "pandas"], id="edge with the link to AWS"),
    pytest.param(
        "edge,ocpp",
        "edge",
        ["edge.links.aws", "edge.links.aws_client", "edge.fleet.aws_service"],
        ["boto3", "pyarrow", "pandas"],
        id="edge with charging stations",
    ),
    pytest.param(
        "cloud",
        "cloud",
        ["cloud.local", "cloud.doors", "cloud.console", "cloud.infra.stack", "cloud.stores.postgres"],
        ["pymodbus", "aiomqtt", "amqtt", "pandas", "aws_cdk", "psycopg", "nats"],
        id="cloud",
    ),
    pytest.param(
        "cluster",
        "cloud",
        ["cloud.doors", "cloud.console", "cloud.infra.stack"],
        ["pymodbus", "pandas", "aws_cdk"],
        id="cloud of several machines",
        marks=pytest.mark.nightly,
    ),
    pytest.param("sim", "firmware_sim", ["firmware_sim.station"], ["pymodbus", "boto3", "numpy"], id="simulator"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once, of a copy: a checkout's build folder keeps modules that are long gone."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in OURS:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source / name)
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(source),
    )
    return next(folder.glob("sitewatt-*.whl"))


@pytest.mark.parametrize(("extra", "package", "left_out", "absent"), CASES)
def test_each_extra_alone_imports_every_module_of_its_package(
    wheel: Path, tmp_path: Path, extra: str, package: str, left_out: list[str], absent: list[str]
) -> None:
    """A gateway must start without the cloud's dependencies, and a function without the gateway's."""
    lay_out(wheel, extra.split(","), tmp_path)
    assert int(run(tmp_path, _IMPORT_ALL, package, *left_out)) > 0
    for name in absent:
        answer = run(tmp_path, f"import importlib.util; print(importlib.util.find_spec({name!r}))")
        assert answer.strip() == "None", f"extra {extra} brings {name}"
    assert "Edge controller" in run(tmp_path, "from sitewatt.__main__ import main; main()", "--help")


_CALL_EACH = """
import contextlib, io, json
answers = []
for line in json.loads(sys.argv[1]):
    sys.argv = ["sitewatt", *line]
    complained, code = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(complained):
        try:
            from sitewatt.__main__ import main
            main()
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = repr(error)
    answers.append([code, complained.getvalue()])
print(json.dumps(answers))
"""
# What starts other processes, which nothing here would end.
_PROCESSES = ("demo", "edge run", "sim swarm", "cloud local")


@pytest.mark.parametrize(
    "extra", ["", *(pytest.param(e, marks=pytest.mark.nightly) for e in ("edge", "cloud", "local", "agents,local"))]
)
def test_a_command_whose_libraries_are_absent_names_the_extra_that_brings_them(
    wheel: Path, tmp_path: Path, extra: str
) -> None:
    """Who installed sitewatt by its bare name is told what else to install, and with that everything is there."""
    folder, given = tmp_path / "libraries", tmp_path / "given"
    folder.mkdir()
    given.mkdir()
    lay_out(wheel, extra.split(",") if extra else [], folder)
    names = made_in(given)
    lines = [line.format(**names).split() for line in LINES if not extra or extra_of(line.split()) == extra]
    lines = [line for line in lines if not extra or not " ".join(line).startswith(_PROCESSES)]
    answers = json.loads(run(folder, _CALL_EACH, json.dumps(lines)).splitlines()[-1])
    absent = 0
    for line, (code, complained) in zip(lines, answers, strict=True):
        assert code in (0, 1, 2), f"{line}: {code}"
        told = "which is not installed" in complained
        absent += told
        if told:
            assert not extra, complained
            assert f"sitewatt[{extra_of(line)}]" in complained and complained.count("\n") == 1
    assert lines and (bool(absent) is not bool(extra))


def test_the_manual_is_in_the_wheel(wheel: Path) -> None:
    """The doors hand its pages out where no checkout is."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    pages = {f"sitewatt/manual/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")}
    assert pages and pages <= names


def test_no_dependency_claims_one_of_our_import_names() -> None:
    """Our packages have short names at the root; a dependency with the same name would shadow one of them."""
    claimed = {
        name: owners
        for name, owners in metadata.packages_distributions().items()
        if name in OURS and set(owners) != {"sitewatt"}
    }
    assert claimed == {}


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command[:6]} ended with {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout
