"""The button that learns from labelled questions, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.animals import write_animals
from tests.browser.conftest import Served, ask, go, settled
from tests.conftest import CommandLine


@pytest.fixture
def animals(zygote, model_cache, tmp_path):
    """The page with the animals, whose questions and labels are in the folder ``set``."""
    (tmp_path / "set").mkdir()
    write_animals(tmp_path / "set")
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    assert line("ingest", tmp_path / "set" / "docs").code == 0
    page = Served(tmp_path / "data", model_cache.folder, tmp_path)
    yield page, tmp_path / "set"
    page.close()


def test_a_gain_is_shown_and_live_at_once(animals, opened):
    served, folder = animals
    page = opened(served.url)
    ask(page, "osprey in the green zone")
    expect(page.locator("article.hit").first).not_to_contain_text("shore")

    go(page, "Quality")
    page.get_by_role("combobox", name="Questions").click()
    page.get_by_role("option", name="A folder on this machine").click()
    settled(page)
    page.get_by_role("textbox", name="Folder with queries.jsonl").fill(str(folder))
    page.keyboard.press("Enter")
    settled(page)
    page.get_by_role("button", name="Learn from these questions").click()
    expect(page.get_by_text("it is kept as question map 1 and live now")).to_be_visible(
        timeout=60_000
    )
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(1)
    expect(page.get_by_text("48 questions in 5 parts", exact=False)).to_be_visible()
    settled(page)

    go(page, "Search")
    ask(page, "osprey in the green zone")
    expect(page.locator("article.hit").first).to_contain_text("shore")
