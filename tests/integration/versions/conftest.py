"""A collection to re-index and copy, and what is compared before and after."""

import signal
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CommandLine, add_prompt, copy_sparse
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.replicate import checksum

PROMPT = {"TWOTOWER_PASSAGE_PROMPT": "passage: "}  # as good as another encoder
SENTENCE = "The workshop services every pump before the first frost of the year. "


def write(folder: Path, name: str, *parts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(f"## Part {part}\n\nMarker {part}. {SENTENCE * 4}" for part in parts)
    (folder / name).write_text(f"# Document {name}\n\n{body}\n")


def state(data_dir: Path, url: str = "") -> dict:
    """The version that is live: what made it, its content and its vectors."""
    application = Application(load_settings({}, data_dir=data_dir, qdrant_url=url))
    with application.catalog.open("documents") as collection:
        ids = [chunk.id for chunk in collection.all_chunks()]
        found = {
            "fingerprint": collection.card().encoder.fingerprint,
            "checksum": checksum(collection),
            "vectors": collection.vectors("dense", ids),
            "bm25": collection.vectors("bm25", ids),
        }
    application.catalog.close()
    return found


def same(one: dict, other: dict, tolerance: float = 0.0) -> bool:
    """Whether two versions are the same, to the last bit unless a tolerance is given."""
    if any(one[key] != other[key] for key in ("fingerprint", "checksum", "bm25")):
        return False
    if one["vectors"].keys() != other["vectors"].keys():
        return False
    return all(
        np.abs(vector - other["vectors"][id]).max() <= tolerance
        for id, vector in one["vectors"].items()
    )


@pytest.fixture(scope="module")
def stage(zygote, model, model_cache, tmp_path_factory):
    """A folder of five documents, ingested; what re-indexing makes of it; a backup."""
    add_prompt(model_cache, model, PROMPT["TWOTOWER_PASSAGE_PROMPT"])
    base = tmp_path_factory.mktemp("versions")
    folder = base / "folder"
    for name in ("a", "b", "c", "d", "e"):
        write(folder, f"{name}.md", f"{name}-one", f"{name}-two")
    line = CommandLine(zygote, model_cache, base / "data", base)
    assert line("ingest", folder).code == 0
    other = CommandLine(zygote, model_cache, base / "other", base)
    copy_sparse(line.data_dir, other.data_dir)
    assert other("reindex", **PROMPT).code == 0
    assert line("backup", base / "saved.backup").code == 0
    return {
        "folder": folder,
        "data": line.data_dir,
        "before": state(line.data_dir),
        "after": state(other.data_dir),
        "reindexed": other.data_dir,
        "backup": base / "saved.backup",
    }


@pytest.fixture
def ready(twotower, stage):
    """A command line over a copy of the ingested folder."""
    copy_sparse(stage["data"], twotower.data_dir)
    return twotower


def writes(twotower, *arguments, **environment) -> list[str]:
    """The writes that a whole run of a command makes."""
    log = twotower.data_dir.parent / "writes"
    twotower.start(
        *arguments, before=["tests.kill_at"], TWOTOWER_TEST_WRITES=str(log), **environment
    )
    done = twotower.wait()
    assert done.code == 0, done.err
    return log.read_text().split()


def kill_points(writes: list[str]) -> list[int]:
    """Choose the writes, from 1, at which killing a command shows something.

    A write of each kind after a write of each other kind, and the last two. What lies between them
    repeats the same pair for another document, and leaves the same kind of state behind.
    """
    pairs = list(zip(["", *writes], writes, strict=False))
    first = {pair: number for number, pair in reversed(list(enumerate(pairs, 1)))}
    return sorted({*first.values(), max(1, len(writes) - 1), len(writes)})


def killed_at(twotower, step, *arguments, **environment) -> None:
    twotower.start(
        *arguments, before=["tests.kill_at"], TWOTOWER_TEST_KILL_AT=str(step), **environment
    )
    assert twotower.wait().code == -signal.SIGKILL, step
