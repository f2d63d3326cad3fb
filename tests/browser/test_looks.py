"""Layout of the pages at two widths and in two themes: nothing is wider than the window.

``TWOTOWER_TEST_PICTURES=folder`` saves the screenshots for inspection.
"""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import settled
from tests.conftest import ROOT

PAGES = {
    "search": "/?q=how+long+is+the+warranty+on+seals",
    "compare": "/?q=price+of+the+handle&compare=true&mode-2=Words&label=true",
    "no-question": "/",
    "ask": "/ask",
    "documents": "/documents",
    "quality": "/quality",
    "index": "/index",
}
BACKGROUNDS = {"light": (255, 255, 255), "dark": (18, 22, 28)}


# Both widths and both themes: what fits a window does not depend on the theme.
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_every_page_fits_its_window_in_both_themes(served, opened, width, theme):
    page = opened(served.url, width=width, theme=theme)
    for name, address in PAGES.items():
        page.goto(served.url + address)
        settled(page)
        page.wait_for_timeout(500)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} pixels wide"
        outside = page.evaluate(
            """() => [...document.querySelectorAll("article.hit, .facts, .passage")]
              .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert outside == 0, name
        picture = page.screenshot()
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        colours = image.getcolors(2**24)
        assert max(colours)[1] == BACKGROUNDS[theme]
        assert len(colours) > 50
        if folder := os.environ.get("TWOTOWER_TEST_PICTURES"):
            (Path(folder) / f"{name}-{width}-{theme}.png").write_bytes(picture)


def test_the_readme_shows_all_screenshots():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/images/search.png" in "\n".join(readme.splitlines()[:12])
    for name in ("search", "compare", "ask", "map"):
        assert f"docs/images/{name}.png" in readme
        with Image.open(ROOT / "docs" / "images" / f"{name}.png") as image:
            assert image.size in ((1440, 900), (390, 844))


def test_long_words_and_names_do_not_widen_a_card(empty, opened, tmp_path):
    long = "Donaudampfschifffahrtsgesellschaft" * 12
    file = tmp_path / f"{'n' * 120}.md"
    file.write_text(f"# {long}\n\nA pump. {long} https://example.example/{long}\n")
    page = opened(f"{empty.url}/documents", width=390)
    page.locator("input[type=file]").set_input_files(str(file))
    expect(page.get_by_text("nnnn", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Ingest", exact=True).click()
    expect(page.get_by_text("1 added")).to_be_visible()
    page.goto(f"{empty.url}/?q=pump")
    settled(page)
    expect(page.locator("article.hit")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(
        "document.querySelector('article.hit').getBoundingClientRect().right <= innerWidth"
    )
