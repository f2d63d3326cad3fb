"""Complete use of the page with a real index in a real browser."""

import io
import json
import re
from urllib.parse import urljoin

from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ask, go, settled
from tests.conftest import HANDBOOK

UPLOADED = [
    HANDBOOK / "finance" / "annual-report-2024.pdf",
    HANDBOOK / "policies" / "warranty-terms.html",
    HANDBOOK / "policies" / "travel-policy-2025.md",
    HANDBOOK / "it" / "accounts-and-passwords.html",
]


def test_from_upload_to_answer_to_deletion(empty, opened):  # noqa: PLR0915 - one journey
    page = opened(empty.url)
    expect(page.get_by_text("Nothing to search yet")).to_be_visible()

    go(page, "Documents")
    expect(page.get_by_text("No documents yet")).to_be_visible()
    broken = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 torn"}
    page.locator("input[type=file]").set_input_files([*map(str, UPLOADED)])
    page.wait_for_timeout(500)
    page.locator("input[type=file]").set_input_files([broken])
    expect(page.get_by_text("broken.pdf")).to_be_visible()
    page.get_by_role("button", name="Ingest", exact=True).click()
    # The page shows progress during the ingestion, and its result afterwards.
    expect(page.get_by_text("Ingesting 5 files into documents")).to_be_visible()
    expect(
        page.get_by_text("1 failed, 4 added").or_(page.get_by_text("4 added, 1 failed"))
    ).to_be_visible()
    settled(page)
    expect(page.get_by_text("failed: broken.pdf")).to_have_count(1)

    go(page, "Search")
    ask(page, "members and employees at year end")
    first = page.locator("article.hit").first
    expect(first).to_contain_text("annual-report-2024.pdf, page 1")
    expect(first.locator("mark").nth(1)).to_be_visible()
    expect(page).to_have_url(re.compile("q=members"))

    # The marked page of the PDF.
    page.get_by_role("radio", name="Page 1").first.click()
    picture = page.get_by_role(
        "img", name="Page 1 of annual-report-2024.pdf with the passage marked"
    )
    expect(picture).to_be_visible()
    png = page.request.get(urljoin(empty.url, picture.get_attribute("src"))).body()
    colours = Image.open(io.BytesIO(png)).convert("RGB").getcolors(2**24)
    assert next((n for n, colour in colours if colour == (255, 236, 130)), 0) > 1000

    page.get_by_role("radio", name="Why this hit").first.click()
    expect(page.get_by_text("The sentence closest to the question").first).to_be_visible()
    page.get_by_role("radio", name="Surrounding text").first.click()
    expect(page.locator(".passage .own").first).to_be_visible()

    # Two searches side by side; the address contains the comparison.
    page.get_by_text("Compare two searches").click()
    settled(page)
    page.get_by_role("radio", name="Words").nth(1).click()
    expect(page.get_by_text("B: Words", exact=False).first).to_be_visible()
    expect(page.locator(".moved").first).to_be_visible()
    expect(page).to_have_url(re.compile("compare=true"))
    page.get_by_text("Compare two searches").click()
    settled(page)

    # The export contains the hits on the page.
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    exported = json.loads(download.value.path().read_text())
    assert exported["question"] == "members and employees at year end"
    assert exported["hits"][0]["source"] == "annual-report-2024.pdf"
    page.keyboard.press("Escape")

    # Labels, and a measurement with them.
    page.get_by_text("Label hits").click()
    settled(page)
    page.get_by_role("radio", name="Relevant", exact=True).first.click()
    settled(page)
    ask(page, "lost hardware key")
    page.get_by_role("radio", name="Relevant", exact=True).first.click()
    settled(page)
    go(page, "Quality")
    questions = page.get_by_role("combobox", name="Questions")
    expect(questions).to_have_value("Your labels (2 questions)")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("2 questions. nDCG, recall", exact=False)).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(2)
    settled(page)

    # An answer, and one of its citations.
    go(page, "Ask")
    page.keyboard.press("/")
    page.keyboard.type("what happens if I lose my hardware key?")
    page.keyboard.press("Enter")
    expect(page.locator(".answer sup").first).to_be_visible()
    settled(page)
    page.get_by_role("radio", name="accounts-and-passwords.html").first.click()
    expect(page.locator("mark.closest").first).to_be_visible()
    page.get_by_text("All passages found").click()
    expect(page.locator("article.hit .score").first).to_be_visible()

    # Deletion.
    go(page, "Documents")
    page.get_by_role("combobox", name="Selected documents").click()
    page.keyboard.type("annual")
    page.get_by_role("option", name="annual-report-2024.pdf").click()
    page.keyboard.press("Escape")
    settled(page)
    expect(page.get_by_role("img", name="Page 1 of annual-report-2024.pdf")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete permanently").click()
    settled(page)
    assert not (empty.data_dir / "uploads" / "documents" / "annual-report-2024.pdf").exists()
    go(page, "Search")
    ask(page, "turnover in thousand EUR")
    expect(page.locator("article.hit").first).not_to_contain_text("annual-report")


def test_the_address_of_a_search_can_be_shared(served, opened):
    page = opened(served.url)
    ask(page, "how long is the warranty on seals")
    page.get_by_role("radio", name="Words").click()
    settled(page)
    expect(page.locator("article.hit").first).to_contain_text("warranty-terms.html")
    shared = page.url
    first = page.locator("article.hit").first.inner_text()
    again = opened(shared)
    assert again.locator("article.hit").first.inner_text() == first
    expect(again.get_by_role("radio", name="Words")).to_be_checked()


def test_a_facet_in_the_address_filters_the_search(served, opened):
    page = opened(f"{served.url}/?q=pump&facet-type=pdf")
    sources = page.locator("article.hit .place").all_inner_texts()
    assert sources
    assert all(".pdf" in source for source in sources)
    expect(page.get_by_text("pdf (", exact=False).first).to_be_visible()
