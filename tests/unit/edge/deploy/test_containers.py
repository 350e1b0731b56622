"""What the container's files name is there: nobody has run them here, so at least no name in them is wrong."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "docs" / "containers"


def test_every_file_that_the_image_is_made_of_exists() -> None:
    """A package that is forgotten would be missed at the first start."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    sources = [name for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert sources and all((ROOT / name).exists() for name in sources)
    packages = set(re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    assert packages and packages <= set(sources)
    assert "Not proven here" in text


def test_the_service_builds_that_image_and_keeps_its_state() -> None:
    """Restarting must not lose what was measured and is not delivered."""
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]["gateway"]
    assert (FOLDER / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    volume = next(one for one in service["volumes"] if one.startswith("state:"))
    assert f"VOLUME {volume.partition(':')[2]}" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")
