"""Where the relative paths of a site's file lie: beside the file, from wherever the gateway is started."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

log = logging.getLogger(__name__)

Section = TypeVar("Section", bound=BaseModel)


def beside(path: Path, *, folder: Path) -> Path:
    """Return a path that was written in a file of a folder, absolute.

    Earlier versions read a relative one against the working directory. What lies there and not beside the file is used
    on, and said: the state of an installation is not left behind by an update.
    """
    if path.is_absolute():
        return path
    now, before = folder.absolute() / path, path.absolute()
    if not _is_there(now) and _is_there(before):
        log.warning("%s is used, and lies in the working directory: move it beside the site's file, %s", before, now)
        return before
    return now


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where this user may not look)


def placed(section: Section, place: Callable[[Path], Path]) -> Section:
    """Return a section with each relative path in it, however deep, replaced by what ``place`` makes of it."""
    changed = {
        name: now
        for name in type(section).model_fields
        if (now := _placed(before := getattr(section, name), place)) is not before
    }
    return section.model_copy(update=changed) if changed else section


def _placed(value: Any, place: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else place(value)
    if isinstance(value, BaseModel):
        return placed(value, place)
    if isinstance(value, tuple):
        items = tuple(_placed(item, place) for item in value)
        return value if all(now is before for now, before in zip(items, value, strict=True)) else items
    return value
