"""The page as users have it: `twotower ui` in its own process, and Chromium.

All requests of the browser and of the server are recorded: a request to another machine fails the
test, and so does an error in the browser's console.
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
TIMEOUT = 180_000  # milliseconds; only a page that hangs reaches it, on a busy machine too
expect.set_options(timeout=TIMEOUT)
# Streamlit first looks for its server below the path of the page that was opened.
_SERVER_PROBES = ("/_stcore/health", "/_stcore/host-config")


def free_port() -> int:
    """Find a port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Served:
    """Process that serves the page."""

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
            "PYTHONPATH": os.pathsep.join(map(str, (OFFLINE, ROOT, ROOT / "src"))),
            "HOME": str(folder),  # without a user's own Streamlit settings
            **settings,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "twotower", "ui", "--port", str(self.port), "--no-browser"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(900):
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2)
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        """Stop it as Ctrl-C does, and check that it printed no traceback and used no network."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=300)
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        attempts = self.network_log.read_text() if self.network_log.exists() else ""
        assert attempts == ""


class Watched:
    """Browser window that records its requests and console errors."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(TIMEOUT)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _on_console(self, message) -> None:
        if message.type == "error" and not message.location["url"].endswith(_SERVER_PROBES):
            self.errors.append(message.text)

    def require_clean(self) -> None:
        """Check that no request left this machine and that the browser reported no error."""
        hosts = {
            urlsplit(url).hostname
            for url in self.requests
            if not url.startswith(("data:", "blob:", "about:"))
        }
        assert hosts <= LOCAL
        assert self.requests
        assert self.errors == []


# Its event loop runs until the fixture ends, and no other test can start one before.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        # No host name is resolved, so a request to another machine fails visibly.
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path):
    """Function that opens a window; all windows are checked when the test ends."""
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
    for number, watched in enumerate(windows):  # the last view, for inspection
        watched.page.screenshot(path=tmp_path / f"window-{number}.png")
    for watched in windows:
        watched.require_clean()
        watched.page.context.close()


@pytest.fixture(scope="package")
def served(handbook, model_cache, tmp_path_factory) -> Iterator[Served]:
    """The page with the ingested handbook, for tests that do not change its documents."""
    folder = tmp_path_factory.mktemp("served")
    copy_sparse(handbook.data_dir, folder / "data")
    page = Served(folder / "data", model_cache.folder, folder)
    yield page
    page.close()


@pytest.fixture
def handbook_page(handbook, model_cache, tmp_path) -> Iterator[Served]:
    """The page with the ingested handbook, for one test."""
    copy_sparse(handbook.data_dir, tmp_path / "data")
    page = Served(tmp_path / "data", model_cache.folder, tmp_path)
    yield page
    page.close()


@pytest.fixture
def empty(model_cache, tmp_path) -> Iterator[Served]:
    """The page without documents."""
    page = Served(tmp_path / "data", model_cache.folder, tmp_path)
    yield page
    page.close()


def settled(page: Page) -> None:
    """Wait until the page's script has ended for good and the browser has drawn the page."""
    quiet = 0
    for _ in range(2400):
        try:
            state = page.locator("[data-testid=stApp]").get_attribute(
                "data-test-script-state", timeout=TIMEOUT
            )
        except Error:
            state = None
        loaded = page.locator("[data-testid=stSkeleton]").count() == 0  # placeholders of parts
        quiet = quiet + 1 if state == "notRunning" and loaded else 0
        if quiet >= 4:
            return
        page.wait_for_timeout(75)
    raise AssertionError("the page does not stop changing")


def go(page: Page, name: str) -> None:
    """Open a page from the navigation."""
    page.get_by_role("link", name=name, exact=False).first.click()
    settled(page)


def ask(page: Page, question: str) -> None:
    """Search with the keyboard only."""
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "q => document.querySelector('article.hit')?.dataset.q === q", arg=question
    )
    settled(page)
