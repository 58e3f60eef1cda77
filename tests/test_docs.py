"""Pages link to what is there."""

import re
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PAGES = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)")


def anchors(page: Path) -> set[str]:
    """What headings are called in links."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_there_are_pages_with_links() -> None:
    assert len(PAGES) >= 8
    assert sum(len(LINK.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for file, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_figure_of_a_page_was_written(page: Path) -> None:
    assert re.findall(r"@[A-Z0-9]+@", page.read_text(encoding="utf-8")) == []
