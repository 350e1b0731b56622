"""What the container's files name is there: nobody has run them here, so at least no name in them is wrong."""

import re
from importlib.metadata import version
from pathlib import Path

import yaml

from edge.ocpp.settings import OcppSettings
from edge.setup.site_questions import PAGE_PORT, PAGE_TLS_PORT

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "docs" / "containers"
ADD_ON = FOLDER / "home-assistant"


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


def test_the_add_on_offers_the_ports_that_the_gateway_listens_on() -> None:
    """Nobody has run it here, and it says so; its names are those of the gateway."""
    text = (ADD_ON / "config.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert "Not proven here" in text and "**Not proven here.**" in (ADD_ON / "DOCS.md").read_text(encoding="utf-8")
    ports = {f"{port}/tcp" for port in (PAGE_PORT, PAGE_TLS_PORT, OcppSettings().port)}
    assert set(config["ports"]) == set(config["ports_description"]) == ports
    assert (config["version"], config["map"]) == (version("sitewatt"), ["addon_config:rw"])
    assert {"name", "slug", "description", "arch"} <= set(config)


def test_the_add_on_starts_what_there_is() -> None:
    """The set-up writes the file that the gateway then reads, and its page answers where the browser was."""
    script = (ADD_ON / "run.sh").read_text(encoding="utf-8")
    assert f"--config /config/site.yaml --state-dir /data --browser 0.0.0.0:{PAGE_TLS_PORT}" in script
    assert script.rstrip().endswith("exec python -I -m edge run --config /config/site.yaml")
    image = (ADD_ON / "Dockerfile").read_text(encoding="utf-8")
    (copied,) = re.findall(r"^COPY (.+)$", image, re.MULTILINE)
    assert copied.split() == ["gateway.txt", "sitewatt-*.whl", "run.sh", "./"]
    assert (ROOT / "requirements" / "gateway.txt").is_file()
