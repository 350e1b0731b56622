"""Run others' suites against the agents' doors: python -m tests.nightly.conformance [--packages FOLDER].

First what needs no fixtures, against `sitewatt agent serve` as it ships; then the whole required sets, with the suite's
own tools mounted beside the skills; then the inspector, as a person would use it; then schemathesis against the
description of the REST door: no 5xx, no answer that is not described. Needs npm; what it installs stays in
``build/conformance``. The pinned suite needs Node 22, which comes from npm, too.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cloud.stores.registry import save_registry
from tests.nightly.matrix import ROOT
from tests.support.cloud.doors import doors_in, served_process
from tests.support.cloud.mcp_fixture import fixture
from tests.support.cloud.mcp_guest import mount
from tests.support.cloud.sites import ZONE, house_in
from tests.support.market.shell import run_events, story

PACKAGES: Final = (
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "node@22",
)
# Scenarios that any server can pass; the others call the suite's own tools by name.
WITHOUT_FIXTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "2026-07-28": (
        "tools-list", "resources-list", "prompts-list", "caching", "dns-rebinding-protection",
        "server-sse-multiple-streams", "sep-2164-resource-not-found", "http-header-validation",
        "input-required-result-unsupported-methods", "input-required-result-ignore-extra-params",
        "input-required-result-validate-input", "input-required-result-missing-input-response", "server-stateless",
    ),
    "2025-11-25": (
        "server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection",
        "server-sse-multiple-streams", "server-session-lifecycle",
    ),
}  # fmt: skip
# Both ask for a tool of the suite's own, which a product does not have.
EXPECTED_FAILURES: Final = """server:
  - server-stateless:sep-2575-server-rejects-undeclared-capability
  - server-stateless:sep-2575-missing-capability-http-400
"""
SCENARIO_S: Final = 900.0
SCHEMATHESIS: Final = "schemathesis==4.32.5"
CHECKS: Final = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip


def install(folder: Path) -> None:
    """Install the suites and their Node where they are not there yet."""
    if not (folder / "node_modules" / "node" / "bin" / "node").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts=false", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True)

    # Its many libraries stay out of the project's own environment.
    if not (folder / "schemathesis" / "bin" / "st").exists():
        venv.create(folder / "schemathesis", with_pip=True)
        pip = str(folder / "schemathesis" / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", SCHEMATHESIS], check=True)


@contextmanager
def shipped(folder: Path) -> Iterator[str]:
    """Run `sitewatt agent serve` over the tables of a market's story."""
    with house_in(folder) as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, story())
    with served_process("--tables", str(folder)) as served:
        yield served.url


def conformance(packages: Path, url: str, *options: str) -> list[str]:
    """Return the command that holds a server against the suite."""
    modules = packages / "node_modules"
    suite = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    return [str(modules / "node" / "bin" / "node"), str(suite), "server", "--url", f"{url}/mcp", *options]


def inspector(packages: Path, url: str, *options: str) -> list[str]:
    """Return the command of the inspector."""
    modules = packages / "node_modules"
    launcher = modules / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
    return [str(modules / "node" / "bin" / "node"), str(launcher), "--cli", f"{url}/mcp", *options]


def ran(name: str, command: Sequence[str]) -> bool:
    """Run one command and say how it went; what it printed is shown where it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SCENARIO_S, check=False, cwd=ROOT / "build")
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name}", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], flush=True)
    return done.returncode == 0


def main() -> int:
    """Return 0 where every scenario passes, 1 where one does not; all are run."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.conformance", description=__doc__)
    parser.add_argument("--packages", type=Path, default=ROOT / "build" / "conformance", metavar="FOLDER")
    packages = parser.parse_args().packages.resolve()
    (ROOT / "build").mkdir(exist_ok=True)
    install(packages)
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "expected.yaml").write_text(EXPECTED_FAILURES, encoding="utf-8")
        with shipped(folder / "shipped") as url:
            for revision, scenarios in WITHOUT_FIXTURES.items():
                for scenario in scenarios:
                    options = ["--scenario", scenario, "--spec-version", revision]
                    if scenario == "server-stateless":
                        options += ["--expected-failures", str(folder / "expected.yaml")]
                    outcomes.append(ran(f"{revision} {scenario}", conformance(packages, url, *options)))
            for looked in (
                ("--method", "tools/list", "--strict"),
                ("--method", "resources/list"),
                ("--method", "prompts/list"),
                ("--method", "tools/call", "--tool-name", "market_status", "--tool-arg", f"zone={ZONE}"),
            ):
                outcomes.append(ran(f"inspector {looked[1]}", inspector(packages, url, *looked)))
            schema = [str(packages / "schemathesis" / "bin" / "st"), "run", f"{url}/openapi.json"]
            schema += ["--phases", "examples,coverage,fuzzing", "--max-time", "300", "--checks", ",".join(CHECKS)]
            outcomes.append(ran("schemathesis", schema))
        guest = fixture()
        with doors_in(folder / "mounted", extend_mcp=lambda server: mount(server, guest)) as doors:
            for revision in WITHOUT_FIXTURES:
                command = conformance(packages, doors.url, "--requirements", revision)
                outcomes.append(ran(f"{revision} whole required set", command))
    print(f"{sum(outcomes)} of {len(outcomes)} passed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
