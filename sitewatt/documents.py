"""What the agents' doors hand out and the cloud may not read itself: maps, tariffs, and pages made from the models."""

from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.resources import files

from cloud.agents.skills import SKILLS
from cloud.doors.offering import Document
from contracts import bounds_table
from sitewatt import asyncapi


def documents() -> dict[str, Document]:
    """Return every document by its address."""
    found = [
        Document(
            uri="sitewatt://document/skills",
            name="skills",
            description="The skills of the five agents, what they change and who may call them.",
            mime_type="text/markdown",
            read=_skills,
        ),
        Document(
            uri="sitewatt://document/wire-bounds",
            name="wire bounds",
            description="Every field of every message, with its bound.",
            mime_type="text/markdown",
            read=bounds_table.table,
        ),
        Document(
            uri="sitewatt://document/asyncapi",
            name="asyncapi",
            description="All MQTT topics and their messages (AsyncAPI 3).",
            mime_type="application/json",
            read=asyncapi.text,
        ),
    ]
    found += _files("device_profiles", kind="profile", what="The register map of {}.")
    found += _files("tariffs", kind="tariff", what="The ready tariff {}, with its sources.")
    return {one.uri: one for one in found}


def _files(package: str, *, kind: str, what: str) -> list[Document]:
    return [
        Document(
            uri=f"sitewatt://{kind}/{file.name.removesuffix('.yaml')}",
            name=f"{kind} {file.name.removesuffix('.yaml')}",
            description=what.format(file.name.removesuffix(".yaml")),
            mime_type="application/yaml",
            read=partial(file.read_text, encoding="utf-8"),
        )
        for file in sorted(files(package).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    ]


def version() -> str:
    """Return the version that is installed."""
    try:
        return installed_version("sitewatt")
    except PackageNotFoundError:
        return "0"


def _skills() -> str:
    lines = [f"- `{each.name}` ({each.agent}, {each.effect}): {each.promise}" for each in SKILLS]
    return "# Skills\n\n" + "\n".join(lines) + "\n"
