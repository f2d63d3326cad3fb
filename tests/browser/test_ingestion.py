"""An ingestion that is started from the page: searches during it, cancelling, and resuming."""

from playwright.sync_api import expect

from tests.browser.conftest import ask, go, settled

QUESTIONS = ("how long is the guarantee", "who repairs the pump at night", "backup tapes")


def test_search_answers_while_200_files_are_ingested(handbook_page, opened, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(200):
        paragraphs = "\n\n".join(
            f"Paragraph {part} of file {number} tells what the inspection of {day} May found at "
            f"well {number * 7 + part}: the rope was worn, the valve {part} was dry, and the crew "
            "wrote it down in the blue book before they went on to the next village."
            for part, day in enumerate(range(1, 5))
        )
        (folder / f"inspection-{number}.md").write_text(f"# Inspection {number}\n\n{paragraphs}\n")
    working = opened(f"{handbook_page.url}/documents")
    searching = opened(f"{handbook_page.url}/?q=first")

    working.get_by_role("tab", name="Read a folder").click()
    working.get_by_label("Folder on the machine that serves this page").fill(str(folder))
    working.get_by_role("button", name="Ingest the folder").click()
    expect(working.get_by_text("Ingesting many into documents")).to_be_visible()

    answered = 0
    while working.get_by_role("button", name="Cancel").count():
        ask(searching, f"{QUESTIONS[answered % len(QUESTIONS)]} {answered}")
        answered += 1
    expect(working.get_by_text("200 added")).to_be_visible()
    assert answered >= 3
    ask(searching, "inspection 137 well rope worn")
    expect(searching.locator("article.hit").first).to_contain_text("inspection-")


def test_an_ingestion_is_cancelled_and_goes_on_later(empty, opened, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for number in range(300):
        text = " ".join(f"word{number * 13 + k} tells of the {k}th thing." for k in range(60))
        (folder / f"note-{number}.md").write_text(f"# Note {number}\n\n{text}\n")
    page = opened(f"{empty.url}/documents")
    page.get_by_role("tab", name="Read a folder").click()
    page.get_by_label("Folder on the machine that serves this page").fill(str(folder))
    page.get_by_role("button", name="Ingest the folder").click()
    expect(page.get_by_text("of 300, ", exact=False)).to_contain_text("in progress")
    page.get_by_text("added: note-", exact=False).first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled. Finished work is kept")).to_be_visible()
    settled(page)
    done = int(page.locator("[data-testid=stMetricValue]").first.inner_text())
    assert 0 < done < 300
    page.get_by_role("tab", name="Read a folder").click()
    page.get_by_label("Folder on the machine that serves this page").fill(str(folder))
    page.get_by_role("button", name="Ingest the folder").click()
    expect(page.get_by_text("added", exact=False).first).to_be_visible()
    expect(page.locator("[data-testid=stMetricValue]").first).to_have_text("300")
    go(page, "Search")
