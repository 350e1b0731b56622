"""The worked examples of ``docs/market.md`` are run as they stand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cloud.market.rules import MarketRules
from cloud.stores.registry import Registry
from sitewatt.commands.market import app

DOCUMENT = Path(__file__).parents[3] / "docs" / "market.md"
# A command, its input, then its answer, with prose between.
BLOCK = re.compile(r"```(sh|json|jsonl)\n(.*?)```", re.DOTALL)


def _examples() -> list[tuple[str, str, Any]]:
    blocks = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(blocks) % 3 == 0
    found = []
    for command, given, answer in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True):
        assert (command[0], answer[0]) == ("sh", "json")
        found.append((command[1].strip(), given[1], json.loads(answer[1])))
    return found


@pytest.mark.parametrize(("command", "given", "answer"), _examples())
def test_an_example_gives_what_the_document_says(command: str, given: str, answer: Any) -> None:
    """A participant who works it out by hand must not be told otherwise."""
    words = command.split()
    assert words[:2] == ["sitewatt", "market"]
    result = CliRunner().invoke(app, words[2:], input=given)
    assert result.exit_code == 0, result.output
    _assert_part(json.loads(result.stdout), answer, at="answer")


def test_the_configuration_of_a_market_with_areas_is_one() -> None:
    """An operator copies it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    registry = Registry.model_validate(yaml.safe_load(text))
    (zone,), (site,) = registry.zones, registry.sites
    rules = MarketRules.model_validate({**zone.market, "zone": zone.id})
    assert site.area in rules.areas


def _assert_part(whole: Any, part: Any, *, at: str) -> None:
    if isinstance(part, dict):
        for name, value in part.items():
            _assert_part(whole[name], value, at=f"{at}.{name}")
        return
    if isinstance(part, list) and part and isinstance(part[0], dict):
        assert len(whole) == len(part), at
        for index, value in enumerate(part):
            _assert_part(whole[index], value, at=f"{at}[{index}]")
        return
    assert whole == part, at
