import os

import pytest

from twotower.ingest.discover import content_hash, discover
from twotower.ingest.loaders import readable_suffixes
from twotower.retrieval.vocabulary.errors import DocumentError


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    for name in ("a.md", "b/c.TXT", "b/d.png", ".hidden.md", ".git/e.md"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return root


def names(discovery):
    return [file.path.relative_to(file.root).as_posix() for file in discovery.files]


def test_readable_files_are_found_and_the_others_are_counted(tree):
    discovery = discover([tree], {".md", ".txt"})
    assert names(discovery) == ["a.md", "b/c.TXT"]
    assert discovery.skipped == {".png": 1}
    assert discovery.errors == ()


def test_a_file_that_several_paths_contain_counts_once(tree):
    discovery = discover([tree, tree / "b", tree / "a.md"], {".md", ".txt"})
    assert names(discovery) == ["a.md", "b/c.TXT"]
    assert discovery.errors == ()


def test_a_file_given_by_its_path_is_included_whatever_its_suffix(tree):
    assert names(discover([tree / "b" / "d.png"], {".md"})) == ["d.png"]


def test_links_out_of_the_root_and_special_files_have_an_error(tree, tmp_path):
    outside = tmp_path / "secret.md"
    outside.write_text("secret")
    (tree / "link.md").symlink_to(outside)
    (tree / "inside.md").symlink_to(tree / "b" / "c.TXT")
    (tree / "broken.md").symlink_to(tree / "nowhere.md")
    (tree / "loop").symlink_to(tree)
    os.mkfifo(tree / "pipe.md")
    (tree / "tight.md").symlink_to(tree / "tight.md")
    files = discover([tree], {".md", ".txt"}).files
    assert {file.path.resolve().name for file in files if not file.error} == {"a.md", "c.TXT"}
    assert {file.path.name: file.error.kind for file in files if file.error} == {
        "link.md": "link-outside",
        "broken.md": "broken-link",
        "tight.md": "broken-link",
        "pipe.md": "not-a-file",
    }


def test_hidden_and_ignored_files_are_left_out_unless_requested(tree):
    (tree / ".gitignore").write_text("b/*\n!b/keep.md\n")
    (tree / "b" / "keep.md").write_text("x")
    (tree / "b" / "deep").mkdir()
    (tree / "b" / "deep" / ".gitignore").write_text("*.md\n")
    assert names(discover([tree], {".md", ".txt"})) == ["a.md", "b/keep.md"]
    everything = names(discover([tree], {".md", ".txt"}, hidden=True, gitignore=False))
    assert everything == [".git/e.md", ".hidden.md", "a.md", "b/c.TXT", "b/keep.md"]


def test_missing_and_empty_paths_are_reported(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    errors = discover([tmp_path / "no", tmp_path / "empty", tree], {".md"}).errors
    assert len(errors) == 2
    assert "no such file or folder" in errors[0]
    assert "it is empty" in errors[1]


def test_a_folder_without_documents_is_reported_with_its_own_files(tree):
    (tree / "a.jpg").touch()
    (tree / "empty").mkdir()
    errors = discover([tree, tree / "b", tree / "empty"], {".md"}).errors
    assert len(errors) == 2
    assert "it contains 1 x .txt, 1 x .png" in errors[0]
    assert "it is empty" in errors[1]


def test_a_sidecar_is_not_a_document(tree):
    for name in ("a.md.meta.json", "alone.meta.json", ".meta.json"):
        (tree / name).write_text("{}")
    found = names(discover([tree], {".md", ".json"}, hidden=True))
    assert found == [".git/e.md", ".hidden.md", ".meta.json", "a.md", "alone.meta.json"]


@pytest.mark.parametrize(
    ("content", "limit", "kind"), [(b"", 10, "empty"), (b"x" * 11, 10, "too-large")]
)
def test_empty_and_too_large_files_are_refused(tmp_path, content, limit, kind):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        content_hash(tmp_path / "f", limit)
    assert caught.value.kind == kind


def test_the_hash_is_the_sha256_of_the_content(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    digest, size = content_hash(tmp_path / "f", 10)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert size == 3


def test_kinds_of_files_that_are_kept_are_read_and_others_counted(tmp_path):
    files = ("a.zip", "b.ipynb", "c.srt", "d.ics", "e.py", "f.mp4", "g.mp4", "h.lrc", "Makefile")
    for name in files:
        (tmp_path / name).write_text("x")
    discovery = discover([tmp_path], readable_suffixes())
    assert names(discovery) == ["a.zip", "b.ipynb", "c.srt", "d.ics", "e.py"]
    assert discovery.skipped == {".mp4": 2, ".lrc": 1, "no suffix": 1}
