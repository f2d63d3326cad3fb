"""Screenshots of the page for the README: ``python -m docs.screenshots``, or ``make images``."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.page import HANDBOOK, ingest, served

_IMAGES = Path(__file__).with_name("images")
_WIDE, _NARROW = (1440, 900), (390, 844)


def _search(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=how+many+accidents+with+lost+time&facet-type=pdf")
    page.locator("article.hit").first.wait_for()
    page.get_by_role("radio", name="Page 1").first.click()
    page.get_by_role("img", name="with the passage marked").wait_for()
    page.wait_for_timeout(1000)
    page.mouse.move(800, 500)
    page.mouse.wheel(0, 330)
    page.wait_for_timeout(800)


def _compare(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=how+tight+is+the+GK-118&compare=true&mode=Meaning&mode-2=Words")
    page.locator("canvas, svg.marks").first.wait_for()
    page.wait_for_timeout(2500)


def _ask(page: Page, url: str) -> None:
    page.goto(f"{url}/ask")
    page.get_by_role("textbox").wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("/")
    page.keyboard.type("What do I do when I lose my hardware key?")
    page.keyboard.press("Enter")
    page.locator(".answer sup").first.wait_for()
    page.wait_for_timeout(1500)
    page.get_by_role("radio", name="1 ·").click()
    page.locator("mark.closest").first.wait_for()
    page.wait_for_timeout(1200)


def _map(page: Page, url: str) -> None:
    page.goto(f"{url}/index")
    box = page.get_by_label("Show a question on the map")
    page.locator("svg.marks, canvas").first.wait_for()
    page.wait_for_timeout(2000)
    box.fill("how long is the guarantee of a seal?")
    box.press("Enter")
    page.wait_for_timeout(3000)
    page.get_by_role("heading", name="Map").scroll_into_view_if_needed()
    page.mouse.move(720, 500)
    page.mouse.wheel(0, 2000)
    page.wait_for_timeout(1200)


_SCREENSHOTS: dict[str, tuple[Callable[[Page, str], None], tuple[int, int], str]] = {
    "search": (_search, _WIDE, "light"),
    "compare": (_compare, _WIDE, "dark"),
    "ask": (_ask, _NARROW, "light"),
    "map": (_map, _WIDE, "dark"),
}


def _take(browser: Browser, url: str) -> None:
    _IMAGES.mkdir(exist_ok=True)
    for name, (prepare, (width, height), theme) in _SCREENSHOTS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()
        prepare(page, url)
        page.screenshot(path=_IMAGES / f"{name}.png")
        context.close()
        print(_IMAGES / f"{name}.png")


def main() -> None:
    """Ingest the example handbook into a temporary folder, and take all screenshots."""
    with tempfile.TemporaryDirectory() as folder:
        ingest(HANDBOOK, Path(folder))
        with served(Path(folder)) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            _take(browser, url)
            browser.close()


if __name__ == "__main__":
    main()
