from pathlib import Path

from twotower.app.services.failures import Failures
from twotower.ingest.report import FileOutcome

BAD = FileOutcome("bad.pdf", "failed", kind="malformed", reason="torn")


def test_what_failed_is_kept_until_it_is_in(tmp_path):
    failures = Failures(tmp_path, "documents")
    failures.record([(BAD, Path("/x/bad.pdf")), (FileOutcome("good.md", "added"), None)], "now")
    kept = Failures(tmp_path, "documents").read()
    assert list(kept) == ["/x/bad.pdf"]
    assert (kept["/x/bad.pdf"].source, kept["/x/bad.pdf"].reason) == ("bad.pdf", "torn")
    failures.record([(BAD, Path("/y/bad.pdf"))], "later")
    failures.record([(FileOutcome("bad.pdf", "added"), Path("/x/bad.pdf"))], "later")
    assert list(failures.read()) == ["/y/bad.pdf"]


def test_one_can_be_forgotten_and_a_torn_file_tells_nothing(tmp_path):
    failures = Failures(tmp_path, "documents")
    failures.record([(BAD, None)], "now")
    failures.forget("bad.pdf")
    failures.forget("never.pdf")
    assert failures.read() == {}
    (tmp_path / "failures" / "documents.json").write_text('[{"source": 1}]')
    assert failures.read() == {}


def test_nothing_is_written_where_nothing_failed(tmp_path):
    Failures(tmp_path, "documents").record([(FileOutcome("a.md", "added"), None)], "now")
    assert list(tmp_path.iterdir()) == []
