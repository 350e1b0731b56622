"""XML that a person or a provider brings: its root and the children of an element, whatever their namespace."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from domain.series.errors import SeriesError


def root_of(text: str) -> Element:
    """Return the root of a document.

    Raises:
        SeriesError: It declares entities, or is no XML.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SeriesError("its XML declares entities, which no export needs")
    try:
        return ElementTree.fromstring(text.lstrip("\ufeff \r\n\t"))
    except (ElementTree.ParseError, ValueError) as error:
        raise SeriesError(f"it begins like XML and is none, perhaps cut short: {error}") from error


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def children_of(element: Element, name: str) -> list[Element]:
    """Return the children of a name."""
    return [child for child in element if local_name(child) == name]


def text_of(element: Element, *path: str) -> str:
    """Return the text at the end of a path, empty where it does not lead anywhere."""
    for name in path:
        inner = children_of(element, name)
        if not inner:
            return ""
        element = inner[0]
    return (element.text or "").strip()
