import os

import pytest

from ingest.discover import content_hash, discover
from retrieval.errors import DocumentError


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


def test_what_loaders_read_is_found_and_the_rest_is_counted(tree):
    discovery = discover([tree], {".md", ".txt"})
    assert names(discovery) == ["a.md", "b/c.TXT"]
    assert discovery.skipped == {".png": 1}
    assert discovery.errors == ()


def test_a_file_that_is_reached_twice_counts_once(tree):
    discovery = discover([tree, tree / "b", tree / "a.md"], {".md", ".txt"})
    assert names(discovery) == ["a.md", "b/c.TXT"]
    assert discovery.errors == ()


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    assert names(discover([tree / "b" / "d.png"], {".md"})) == ["d.png"]


def test_links_that_leave_the_root_and_special_files_are_left_out(tree, tmp_path):
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


def test_hidden_files_and_what_gitignore_names(tree):
    (tree / ".gitignore").write_text("b/*\n!b/keep.md\n")
    (tree / "b" / "keep.md").write_text("x")
    (tree / "b" / "deep").mkdir()
    (tree / "b" / "deep" / ".gitignore").write_text("*.md\n")
    assert names(discover([tree], {".md", ".txt"})) == ["a.md", "b/keep.md"]
    every = names(discover([tree], {".md", ".txt"}, hidden=True, gitignore=False))
    assert every == [".git/e.md", ".hidden.md", "a.md", "b/c.TXT", "b/keep.md"]


def test_paths_that_lead_nowhere_are_named(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    errors = discover([tmp_path / "no", tmp_path / "empty", tree], {".md"}).errors
    assert len(errors) == 2
    assert "no such file or folder" in errors[0]
    assert "it is empty" in errors[1]


def test_a_folder_without_documents_tells_what_it_saw(tree):
    (error,) = discover([tree / "b"], {".md"}).errors
    assert "1 x .png" in error


@pytest.mark.parametrize(
    ("content", "limit", "kind"), [(b"", 10, "empty"), (b"x" * 11, 10, "too-large")]
)
def test_files_beyond_the_limits_are_refused(tmp_path, content, limit, kind):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        content_hash(tmp_path / "f", limit)
    assert caught.value.kind == kind


def test_the_hash_is_of_the_content(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    digest, size = content_hash(tmp_path / "f", 10)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert size == 3
