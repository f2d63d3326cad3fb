import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.app.services.uploads import Uploads, safe_name, suffixes
from twotower.retrieval.vocabulary.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd.md", "passwd.md"),
        ("..\\..\\windows\\x.MD", "x.MD"),
        (".hidden.md", "hidden.md"),
        ("CON.md", "_CON.md"),
        ("a\x00b\u202ec.txt", "abc.txt"),
        ("A\u0308rger.md", "Ärger.md"),
        ("aux .md", "_aux.md"),
        ("COM¹.md", "_COM¹.md"),
    ],
)
def test_a_name_is_made_safe(given_name, kept):
    assert safe_name(given_name) == kept


def test_names_that_have_to_be_changed_do_not_become_the_same():
    pairs = [("q?x.md", "q*x.md"), ("N" * 300 + "a.md", "N" * 300 + "b.md")]
    for one, other in pairs:
        assert safe_name(one) != safe_name(other)
        assert safe_name(one) == safe_name(one)
    assert safe_name("q?x.md").startswith("q_x-")


@pytest.mark.parametrize("name", ["", "..", "x.exe", "md", ".md", "a/b/"])
def test_what_no_loader_reads_is_refused(name):
    with pytest.raises(ConfigurationError, match="no loader reads"):
        safe_name(name)


@given(st.text(max_size=400))
def test_whatever_a_browser_says_a_file_stays_in_its_folder(name):
    try:
        kept = safe_name(name + ".md")
    except ConfigurationError:
        return  # nothing is left of it
    assert "/" not in kept
    assert "\\" not in kept
    assert not kept.startswith(".")
    assert len(kept.encode()) <= 150


def test_a_file_of_the_same_name_replaces_the_first(tmp_path):
    uploads = Uploads(tmp_path, "documents")
    first = uploads.save("a.md", io.BytesIO(b"one"), 3)
    assert uploads.save("x/a.md", io.BytesIO(b"two"), 3) == first
    assert first.read_bytes() == b"two"
    assert [file.name for file in uploads.folder.iterdir()] == ["a.md"]


def test_only_an_upload_is_removed(tmp_path):
    uploads = Uploads(tmp_path, "documents")
    own = uploads.save("a.md", io.BytesIO(b"one"), 3)
    other = tmp_path / "mine.md"
    other.touch()
    assert not uploads.remove(other)
    assert other.exists()
    assert uploads.remove(own)
    assert not own.exists()


def test_every_suffix_that_ingestion_reads_may_be_uploaded():
    assert {"pdf", "docx", "md", "html", "eml"} <= set(suffixes())
