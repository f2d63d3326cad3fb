"""A page as a person has it: `twotower ui` in a process of its own, and Chromium before it.

Every request of the browser and of the server is watched: one that would leave this machine fails
the test, and so does an error in the browser's console.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.conftest import OFFLINE, ROOT, RUNTIME, copy_sparse

LOCAL = {"127.0.0.1", "localhost"}
PATIENCE = 60_000  # milliseconds; a machine with two cores that does other things as well
expect.set_options(timeout=PATIENCE)
# Streamlit looks for its server below the page's own path first, where one opens it by its address.
_LOOKS_FOR_ITSELF = ("/_stcore/health", "/_stcore/host-config")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Served:
    """A running page."""

    def __init__(
        self, data_dir: Path, cache: Path, folder: Path, port: int = 0, **settings: str
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = data_dir
        self.network_log = folder / "network.log"
        self.log = folder / "server.log"
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")},
            "TWOTOWER_DATA_DIR": str(data_dir),
            "TWOTOWER_CACHE_DIR": str(cache),
            "TWOTOWER_RUNTIME": RUNTIME,
            "TWOTOWER_TEST_NETWORK_LOG": str(self.network_log),
            "PYTHONPATH": f"{OFFLINE}{os.pathsep}{ROOT}",
            "HOME": str(folder),  # nobody's own Streamlit settings
            **settings,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "ui", "--port", str(self.port), "--no-browser"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2)
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        """End it as Ctrl-C does; it leaves neither a traceback nor an attempt to call home."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        refused = self.network_log.read_text() if self.network_log.exists() else ""
        assert refused == ""


class Watched:
    """A browser window whose requests and complaints are kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message) -> None:
        if message.type == "error" and not message.location["url"].endswith(_LOOKS_FOR_ITSELF):
            self.complaints.append(message.text)

    def require_clean(self) -> None:
        """Nothing left this machine, and nothing went wrong in the browser."""
        hosts = {
            urlsplit(url).hostname
            for url in self.requests
            if not url.startswith(("data:", "blob:", "about:"))
        }
        assert hosts <= LOCAL
        assert self.requests
        assert self.complaints == []


@pytest.fixture(scope="module")  # its event loop runs all the while: no other test may have one
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # Names are not looked up at all: what would leave this machine fails, and is seen.
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path):
    """Open a window: width, theme and address; all are looked at when the test ends."""
    windows: list[Watched] = []

    def open(url: str, width: int = 1440, theme: str = "light") -> Page:
        height = 1000 if width > 600 else 844
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            accept_downloads=True,
        )
        watched = Watched(context.new_page())
        windows.append(watched)
        watched.page.goto(url)
        settled(watched.page)
        return watched.page

    yield open
    for number, watched in enumerate(windows):  # what it looked like at the end, should one ask
        watched.page.screenshot(path=tmp_path / f"window-{number}.png")
    for watched in windows:
        watched.require_clean()
        watched.page.context.close()


@pytest.fixture(scope="module")
def served(handbook, model_cache, tmp_path_factory) -> Iterator[Served]:
    """The page over the ingested handbook."""
    folder = tmp_path_factory.mktemp("served")
    copy_sparse(handbook.data_dir, folder / "data")
    page = Served(folder / "data", model_cache.folder, folder)
    yield page
    page.close()


@pytest.fixture
def empty(model_cache, tmp_path) -> Iterator[Served]:
    """The page over nothing yet."""
    page = Served(tmp_path / "data", model_cache.folder, tmp_path)
    yield page
    page.close()


def settled(page: Page) -> None:
    """Wait until the page has run to its end, and stays so, and the browser has drawn it."""
    still = 0
    for _ in range(600):
        try:
            state = page.locator("[data-testid=stApp]").get_attribute(
                "data-test-script-state", timeout=PATIENCE
            )
        except Error:
            state = None
        drawn = page.locator("[data-testid=stSkeleton]").count() == 0  # a part yet to be loaded
        still = still + 1 if state == "notRunning" and drawn else 0
        if still >= 4:
            return
        page.wait_for_timeout(75)
    raise AssertionError("the page does not come to rest")


def go(page: Page, name: str) -> None:
    """Choose a page in the navigation."""
    page.get_by_role("link", name=name, exact=False).first.click()
    settled(page)


def ask(page: Page, question: str) -> None:
    """Search, from the keyboard alone."""
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "q => document.querySelector('article.hit')?.dataset.q === q", arg=question
    )
    settled(page)
