"""The workflows hold no key, ask for no more rights than they use, and run what a developer runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))


def _steps(workflow: Any) -> list[Any]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_workflow_holds_no_key_and_few_rights(path: Path) -> None:
    """It signs in to AWS by OIDC: a key that lies in a repository's settings works from everywhere, for ever."""
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text and "AWS_SECRET_ACCESS_KEY" not in text
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 360
        signs_in = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
        assert (job.get("permissions", {}).get("id-token") == "write") is signs_in
        assert ("environment" in job) is signs_in, "an environment is where a person agrees"
    for step in _steps(workflow):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_workflows_run_what_is_there() -> None:
    """A target that was renamed would be found by a change of somebody else."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    runs = [
        step["run"]
        for path in FILES
        for step in _steps(yaml.safe_load(path.read_text(encoding="utf-8")))
        if "run" in step
    ]
    targets = {target for run in runs for target in re.findall(r"\bmake (\S+)", run)}
    assert {"nightly", ".venv/.dev"} <= targets
    for target in targets:
        assert f"\n{target.replace('.venv', '$(VENV)')}:" in makefile, target
    assert any(".ci/run" in run for run in runs)


def test_a_deployment_takes_away_nothing_that_was_asked_for_by_hand() -> None:
    """A stack is what its last deployment says: an option that the workflow does not know would go with the next."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["deploy"]
    (deployed,) = (step["run"] for step in job["steps"] if "cloud deploy" in step.get("run", ""))
    for name in ("FOR_SITES", "TOKEN_ISSUER", "OPTIONS"):
        assert "vars." in job["env"][name] and f"${name}" in deployed
