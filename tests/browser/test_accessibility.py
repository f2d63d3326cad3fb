"""axe-core on every page, in both themes: nothing serious or critical."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import settled
from tests.conftest import ROOT

AXE = ROOT / ".venv" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = {
    "search": "/?q=how+long+is+the+warranty+on+seals&label=true",
    "compare": "/?q=how+long+is+the+warranty&compare=true&mode-2=Words",
    "no question": "/",
    "ask": "/ask",
    "documents": "/documents",
    "quality": "/quality",
    "index": "/index",
}

needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not installed: `make test` installs it, which needs npm"
)


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    reported = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in reported
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@needs_axe
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_violation(served, opened, theme):
    page = opened(served.url, theme=theme)
    for name, address in PAGES.items():
        page.goto(served.url + address)
        settled(page)
        assert violations(page) == [], name


@needs_axe
def test_no_serious_violation_in_the_views_of_a_hit(served, opened):
    page = opened(f"{served.url}/?q=accidents+with+lost+time+energy+used")
    page.get_by_role("radio", name="Why this hit").nth(1).click()
    page.get_by_role("radio", name="Page", exact=False).first.click()
    expect(page.get_by_role("img", name="with the passage marked", exact=False)).to_be_visible()
    page.get_by_role("radio", name="Surrounding text").nth(2).click()
    settled(page)
    assert violations(page) == []


@needs_axe
def test_no_serious_violation_in_an_answer_on_a_phone(served, opened):
    page = opened(f"{served.url}/ask", width=390)
    page.keyboard.press("/")
    page.keyboard.type("how long is the guarantee of a KC-7 controller?")
    page.keyboard.press("Enter")
    expect(page.locator(".answer sup").first).to_be_visible()
    settled(page)
    page.get_by_role("radio", name="1 ·").click()
    settled(page)
    assert violations(page) == []


@needs_axe
def test_a_violation_is_found(served, opened):
    """The checks above can fail."""
    page = opened(served.url)
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'data:,'}))")
    assert any("image-alt" in one for one in violations(page))
