"""The written configuration: read back it is what was answered, and it explains itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.config import SiteConfig, load_config
from edge.setup.dialogue import Answers
from edge.setup.document import render, write_config

_word = st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True)
_watts = st.integers(1, 10**6)
_battery = st.fixed_dictionaries(
    {"capacity_wh": _watts, "charge_limit_w": _watts, "discharge_limit_w": _watts},
    optional={"soc_min_percent": st.floats(0, 50), "soc_max_percent": st.floats(60, 100)},
)
_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@st.composite
def configs(draw: st.DrawFn) -> SiteConfig:
    """Draw a configuration with a meter, other devices and every kind of section."""
    devices: list[dict[str, object]] = [{"id": "meter", "profile": draw(_word), "url": draw(_text), "role": "meter"}]
    for number in range(draw(st.integers(0, 3))):
        device: dict[str, object] = {"id": f"d{number}", "profile": draw(_word), "url": draw(_text), "role": "hybrid"}
        devices.append(device | draw(st.fixed_dictionaries({}, optional={"pv_peak_w": _watts, "battery": _battery})))
    optional = {
        "control": st.fixed_dictionaries({"period_s": st.floats(0.2, 10)}, optional={"idle": st.just("hold")}),
        "telemetry": st.fixed_dictionaries({"period_s": st.integers(1, 3600)}),
        "trading": st.fixed_dictionaries({"enabled": st.booleans(), "gate_closure_s": st.integers(0, 900)}),
        "fleet": st.just({"update_key": "A" * 43 + "="}),
        "profile_dir": _word.map(lambda word: f"/etc/{word}"),
    }
    raw = {
        "site": {"id": draw(_word), "zone": draw(_word), "agent": draw(st.sampled_from(["producer", "monitor"]))},
        "connection": {"meter": "meter", "import_limit_w": draw(_watts), "export_limit_w": draw(st.integers(0, 99))},
        "devices": devices,
        "link": draw(st.fixed_dictionaries({"url": st.just("mqtts://b.example:8883")}, optional={"username": _text})),
        "state_dir": f"/var/{draw(_word)}",
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }
    return SiteConfig.model_validate(raw)


@given(configs())
def test_what_is_written_reads_back_the_same(config: SiteConfig) -> None:
    """An installer's answers must not change on their way through a file."""
    assert SiteConfig.model_validate(yaml.safe_load(render(config))) == config


def answers() -> Answers:
    """Return the least that makes a configuration."""
    return Answers(
        site={"id": "farm", "zone": "east", "agent": "producer"},
        connection={"meter": "meter", "import_limit_w": 10_000, "export_limit_w": 5_000},
        devices=[{"id": "meter", "profile": "eastron_sdm630", "url": "tcp://192.0.2.7?unit=1", "role": "meter"}],
        link={"url": "mqtts://broker.example:8883"},
    )


def test_the_file_explains_limits_and_what_else_may_be_set() -> None:
    """Nobody on a ladder opens a manual: the signs, the bounds and the optional sections stand in the file."""
    text = render(answers().config())
    assert "import_limit_w: 10000  # fuse or contract, whichever is less" in text
    assert "# telemetry:\n#   period_s: 300.0" in text
    assert "Power is positive into the site" in text


def test_an_earlier_configuration_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    """A set-up that was a mistake can be taken back."""
    path = tmp_path / "site.yaml"
    path.write_text("mine: 1\n")
    write_config(path, answers().config())
    assert load_config(path) == answers().config()
    assert (tmp_path / "site.yaml.old").read_text() == "mine: 1\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_was_typed_in_one_folder_is_the_same_place_read_from_a_file_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its own folder a relative path stays short, so that the whole folder can be moved."""
    made = replace(answers(), state_dir=Path("state")).config()
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "etc" / "site.yaml", Path("site.yaml")):
        write_config(path, made)
        assert load_config(path).state_dir == tmp_path / "state"
    assert "state_dir: state\n" in Path("site.yaml").read_text()


def test_a_folder_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    """Half a configuration is worse than an old one."""
    path = tmp_path / "missing" / "site.yaml"
    with pytest.raises(OSError, match="No such file"):
        write_config(path, answers().config())
    assert not path.parent.exists()
