"""What the agents' doors hand out and the cloud may not read itself: the manual, maps, tariffs, pages of the models."""

from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.resources import files
from typing import Final

from cloud.agents.skills import SKILLS
from cloud.doors.offering import Document
from contracts import bounds_table
from sitewatt import asyncapi

# For who works on the product, not with it; and one that is made of the models, above.
NO_PAGES: Final = frozenset({"mutants.md", "wire-bounds.md"})


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
    found += _manual()
    found += _files("device_profiles", kind="profile", what="The register map of {}.")
    found += _files("tariffs", kind="tariff", what="The ready tariff {}, with its sources.")
    return {one.uri: one for one in found}


def _manual() -> list[Document]:
    """Return the pages of the manual; ``sitewatt/manual`` is a link to ``docs``, and its pages are in the wheel."""
    pages = []
    for file in sorted(files("sitewatt").joinpath("manual").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".md") or file.name in NO_PAGES:
            continue
        with file.open(encoding="utf-8") as lines:
            title = next(lines).removeprefix("#").strip()
        name = file.name.removesuffix(".md")
        pages.append(
            Document(
                uri=f"sitewatt://manual/{name}",
                name=f"manual {name}",
                description=f"The manual: {title}.",
                mime_type="text/markdown",
                read=partial(file.read_text, encoding="utf-8"),
            )
        )
    return pages


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
