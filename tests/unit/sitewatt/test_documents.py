"""What the doors hand out: every page of the manual, every map and tariff, each readable under its own address."""

import json
from pathlib import Path

import tariffs
from sitewatt.documents import NO_PAGES, documents

DOCS = Path(__file__).parents[3] / "docs"


def test_each_page_of_the_manual_is_a_document_with_its_text() -> None:
    """A model that is asked how to install a gateway reads the page that a person reads."""
    found = documents()
    pages = [page for page in DOCS.glob("*.md") if page.name not in NO_PAGES]
    assert len(pages) > 10
    for page in pages:
        document = found[f"sitewatt://manual/{page.stem}"]
        assert document.read() == page.read_text(encoding="utf-8")
        assert document.mime_type == "text/markdown" and len(document.description) > len("The manual: .")
    assert {uri for uri in found if uri.startswith("sitewatt://manual/")} == {
        f"sitewatt://manual/{page.stem}" for page in pages
    }


def test_every_document_can_be_read_as_what_it_says_it_is() -> None:
    """An address that a list gives is an address that answers."""
    found = documents()
    for uri, document in found.items():
        text = document.read()
        assert uri == document.uri and text.strip() and document.description
        if document.mime_type == "application/json":
            json.loads(text)
    kinds = {uri.partition("://")[2].partition("/")[0] for uri in found}
    assert kinds == {"document", "manual", "profile", "tariff"}
    assert sum(uri.startswith("sitewatt://tariff/") for uri in found) == len(tariffs.names())
