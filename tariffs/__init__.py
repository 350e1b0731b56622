"""Ready tariffs as data, one YAML file each with its sources; read through ``text``, for both sides."""

from importlib.resources import files


def names() -> list[str]:
    """Return the names of the ready tariffs."""
    found = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def text(name: str) -> str | None:
    """Return the YAML of a ready tariff, ``None`` where there is none of that name."""
    return files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8") if name in names() else None
