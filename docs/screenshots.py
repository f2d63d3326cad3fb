"""The README's pictures of the page: ``python -m docs.screenshots``, or ``make images``."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

_ROOT = Path(__file__).resolve().parents[1]
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
    box = page.get_by_label("A question, drawn where it falls")
    page.locator("svg.marks, canvas").first.wait_for()
    page.wait_for_timeout(2000)
    box.fill("how long is the guarantee of a seal?")
    box.press("Enter")
    page.wait_for_timeout(3000)
    page.get_by_role("heading", name="Map").scroll_into_view_if_needed()
    page.mouse.move(720, 500)
    page.mouse.wheel(0, 2000)
    page.wait_for_timeout(1200)


_PICTURES: dict[str, tuple[Callable[[Page, str], None], tuple[int, int], str]] = {
    "search": (_search, _WIDE, "light"),
    "compare": (_compare, _WIDE, "dark"),
    "ask": (_ask, _NARROW, "light"),
    "map": (_map, _WIDE, "dark"),
}


def _wait(url: str, page: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        if page.poll() is not None:
            raise SystemExit("the page ended")
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2)  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the page did not start")


def _draw(browser: Browser, url: str) -> None:
    _IMAGES.mkdir(exist_ok=True)
    for name, (go, (width, height), theme) in _PICTURES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()
        go(page, url)
        page.screenshot(path=_IMAGES / f"{name}.png")
        context.close()
        print(_IMAGES / f"{name}.png")


def main() -> None:
    """Draw all pictures, over the example handbook."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TWOTOWER_DATA_DIR": folder, "PYTHONPATH": str(_ROOT)}
        command = [sys.executable, "-m", "app"]
        subprocess.run(
            [*command, "ingest", str(_ROOT / "examples" / "handbook")],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        served = subprocess.Popen(
            [*command, "ui", "--port", str(port), "--no-browser"], env=environment
        )
        try:
            _wait(url, served)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                _draw(browser, url)
                browser.close()
        finally:
            served.terminate()
            served.wait()


if __name__ == "__main__":
    main()
