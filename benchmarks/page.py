"""Ratios of the web page's times, measured in Chromium, in one run.

    .venv/bin/python -m benchmarks.page [--files N] [--documents N]

Serves the page over the example handbook and opens it in Chromium on the same machine. It needs
the extra `dev` and Chromium. It prints

- a search, from Enter until its ten hits are on the page, over the retriever's own time;
- the same while N generated files (200) are ingested from another window, over the search alone;
- each view over N documents of one line (5,000), from its address until it is at rest, over the
  same view of the handbook.

Times depend on the machine; compare the ratios.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright

HANDBOOK = Path(__file__).resolve().parents[1] / "examples" / "handbook"
TWOTOWER = (sys.executable, "-m", "twotower")
LONGEST_WAIT = 600_000  # milliseconds
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")}
VIEWS = ("", "ask", "documents", "quality", "index")
QUESTIONS = (
    "how long is the guarantee",
    "who repairs the pump at night",
    "bronze supplier price",
    "backup tapes",
    "remote work days",
    "travel policy hotel",
    "fault code E-11",
    "newsletter spring",
    "accidents with lost time",
    "hardware key lost",
    "price of the handle",
    "minutes of the general assembly",
)
# Enters the question; milliseconds until its ten hits are on the page, and the retriever's own.
SEARCH = """question => new Promise(done => {
  const box = document.querySelector(".st-key-q input");
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  box.focus();
  set.call(box, question);
  box.dispatchEvent(new Event("input", {bubbles: true}));
  const start = performance.now();
  const observer = new MutationObserver(() => {
    const shown = [...document.querySelectorAll("article.hit")]
      .filter(hit => hit.dataset.q === question).length;
    if (shown < 10) return;
    observer.disconnect();
    requestAnimationFrame(() => done([
      performance.now() - start,
      parseFloat(document.querySelector("[data-took]").dataset.took),
    ]));
  });
  observer.observe(document.body, {subtree: true, childList: true, attributes: true});
  box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", keyCode: 13, bubbles: true}));
})"""
# Waits for half a second without a change; milliseconds from navigation to the last change.
AT_REST = """() => new Promise(done => {
  let last = performance.now();
  const observer = new MutationObserver(() => { last = performance.now(); });
  observer.observe(document.documentElement, {subtree: true, childList: true, attributes: true});
  const look = setInterval(() => {
    const app = document.querySelector("[data-testid=stApp]");
    if (app?.dataset.testScriptState !== "notRunning") return;
    if (document.querySelector("[data-testid=stSkeleton]")) return;
    if (performance.now() - last < 500) return;
    clearInterval(look);
    observer.disconnect();
    done(last);
  }, 50);
})"""


@contextmanager
def served(data_dir: Path) -> Iterator[str]:
    """Serve the page over a data directory; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [*TWOTOWER, "ui", "--port", str(port), "--no-browser"],
        env=ENVIRONMENT | {"TWOTOWER_DATA_DIR": str(data_dir)},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2)  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.2)
        else:
            return
    sys.exit(f"the page ended with exit code {process.returncode}")


def opened(browser: Browser, address: str) -> Page:
    """Open a window and wait until it is at rest."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(LONGEST_WAIT)
    page.goto(address)
    page.evaluate(AT_REST)
    return page


def searches(page: Page) -> list[tuple[float, float]]:
    """Search for every question; milliseconds on the page, and of the retriever."""
    times = []
    for question in QUESTIONS:
        on_page, retriever = page.evaluate(SEARCH, question)
        times.append((on_page, retriever))
        page.evaluate(AT_REST)
    return times


def searches_during_an_ingestion(browser: Browser, url: str, page: Page, files: int) -> list[float]:
    """Search from one window while another ingests generated files; milliseconds on the page."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        write_reports(Path(folder), files)
        ingesting = opened(browser, f"{url}/documents")
        ingesting.get_by_role("tab", name="Read a folder").click()
        ingesting.get_by_label("Folder on the machine that serves this page").fill(folder)
        ingesting.get_by_role("button", name="Ingest the folder").click()
        cancel = ingesting.get_by_role("button", name="Cancel")
        cancel.wait_for()
        while cancel.count():
            question = f"{QUESTIONS[len(times) % len(QUESTIONS)]} {len(times)}"
            times.append(page.evaluate(SEARCH, question)[0])
            page.wait_for_timeout(300)
        ingesting.close()
    return times


def write_reports(folder: Path, files: int) -> None:
    """Write Markdown files of eight paragraphs each."""
    for number in range(files):
        paragraphs = "\n\n".join(
            f"Paragraph {part} of file {number} tells what the inspection of {part} May found at "
            f"well {number * 7 + part}: the rope was worn, the valve {part} was dry, and the crew "
            "wrote it down in the blue book before they went on to the next village."
            for part in range(1, 9)
        )
        text = f"# Inspection {number}\n\n{paragraphs}\n"
        (folder / f"inspection-{number}.md").write_text(text, encoding="utf-8")


def views(browser: Browser, url: str) -> dict[str, float]:
    """Milliseconds until each view is at rest; the median of three, after one that warms up."""
    times = {}
    for view in VIEWS:
        page = opened(browser, f"{url}/{view}")
        runs = []
        for _ in range(3):
            page.goto(f"{url}/{view}")
            runs.append(page.evaluate(AT_REST))
        page.close()
        times[view or "search"] = median(runs)
    return times


def ingest(folder: Path, data_dir: Path) -> None:
    """Ingest a folder in a process of its own."""
    subprocess.run(
        [*TWOTOWER, "ingest", str(folder)],
        env=ENVIRONMENT | {"TWOTOWER_DATA_DIR": str(data_dir)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def measure(browser: Browser, base: Path, files: int, documents: int) -> None:
    """Print the times and their ratios."""
    ingest(HANDBOOK, base / "handbook")
    with served(base / "handbook") as url:
        few = views(browser, url)
        page = opened(browser, f"{url}/?q=first")
        quiet = searches(page)
        on_page, own = (median(times) for times in zip(*quiet, strict=True))
        print(f"a search on the page: {on_page:.0f} ms, the retriever's own {own:.0f} ms")
        print(f"page / retriever: {median(whole / part for whole, part in quiet):.1f}")
        busy = searches_during_an_ingestion(browser, url, page, files)
    print(f"\nduring the ingestion of {files} files, {len(busy)} searches: ", end="")
    print(f"median {median(busy):.0f} ms, longest {max(busy):.0f} ms")
    print(f"during / alone: {median(busy) / on_page:.1f}, longest {max(busy) / on_page:.1f}")

    (base / "notes").mkdir()
    for number in range(documents):
        text = f"Note {number}: the tool number {number * 7} hangs in bay {number % 40}."
        (base / "notes" / f"{number}.txt").write_text(text, encoding="utf-8")
    ingest(base / "notes", base / "many")
    with served(base / "many") as url:
        many = views(browser, url)
    print(f"\n| view | handbook ms | {documents:,} documents ms | ratio |\n|---|---|---|---|")
    for view, alone in few.items():
        print(f"| {view} | {alone:.0f} | {many[view]:.0f} | {many[view] / alone:.2f} |")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="Ratios of the web page's times, in Chromium.")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--documents", type=int, default=5000)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        measure(browser, Path(base), arguments.files, arguments.documents)
        browser.close()


if __name__ == "__main__":
    main()
