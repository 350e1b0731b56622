"""What the agents' doors hand out and the cloud may not read itself: device profiles, and the skills as a page."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.resources import files

from cloud.agents.skills import SKILLS
from cloud.doors.offering import Document


def documents() -> dict[str, Document]:
    """Return every document by its address."""
    found = [
        Document(
            uri="sitewatt://document/skills",
            name="skills",
            description="The skills of the five agents, what they change and who may call them.",
            mime_type="text/markdown",
            read=_skills,
        )
    ]
    for profile in sorted(files("device_profiles").iterdir(), key=lambda file: file.name):
        if profile.name.endswith(".yaml"):
            name = profile.name.removesuffix(".yaml")
            found.append(
                Document(
                    uri=f"sitewatt://profile/{name}",
                    name=f"profile {name}",
                    description=f"The register map of {name}.",
                    mime_type="application/yaml",
                    read=lambda file=profile: file.read_text(encoding="utf-8"),  # type: ignore[misc]
                )
            )
    return {one.uri: one for one in found}


def version() -> str:
    """Return the version that is installed."""
    try:
        return installed_version("sitewatt")
    except PackageNotFoundError:
        return "0"


def _skills() -> str:
    lines = [f"- `{each.name}` ({each.agent}, {each.effect}): {each.promise}" for each in SKILLS]
    return "# Skills\n\n" + "\n".join(lines) + "\n"
