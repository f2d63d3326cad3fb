"""Damage to the files of a collection: what changes, what `doctor --deep` finds, what repair does.

    .venv/bin/python -m benchmarks.damage [--damages N] [--seed N]

Ingests the example handbook, and damages one file of a copy at a time: cut in half, overwritten
with noise, a block of noise, or a block of zeros. The engine's log of writes is emptied before, as
a flush does, because replaying it would undo most damages.

For each damage it compares what searches,
filters, lists and counts answer with the undamaged collection, runs the deep check, repairs the
collection, and compares again. Prints one line for each damage and the totals; the exit code is 1
if a damage that changes an answer is not found, or a repair does not end in the collection as it
was.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from twotower.app.example import HANDBOOK, QUERIES
from twotower.app.services.ingestion import Ingestion
from twotower.app.services.repair import deep_check, repair
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.dataset import read_queries
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.retrieval.vocabulary.filters import parse_filters

NAME = "documents"
KINDS = ("half", "noise", "block", "zeros")
FILTERS = (
    "type=pdf", "type=md,docx", "folder=policies", "source=it/**", "page=1", "page>=3",
    "modified>=2000-01-01", "author=Ilse Marrin",
)  # fmt: skip
PHRASES = ('"hand pump"', '"security token"', '"flange"', '"the"', '"Tarnwick"')
_BLOCK = 4096
_LIMIT = 300  # seconds for one process


def files_of(data: Path) -> list[Path]:
    """The files of the collection, those that hold something."""
    folder = data / "collections" / NAME
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return [path.relative_to(data) for path in found if ".owners" not in path.parts]


def extent(file: Path) -> int:
    """Bytes up to the last one that is not zero: the engine's files end in holes."""
    content = file.read_bytes()
    return max(len(content.rstrip(b"\0")), 1)


def damage(file: Path, kind: str, rng: random.Random) -> None:
    """Damage a file in place."""
    used = extent(file)
    if kind == "half":
        os.truncate(file, used // 2)
        return
    start = 0 if kind == "noise" else rng.randrange(used)
    length = used if kind == "noise" else min(_BLOCK, used - start)
    with file.open("r+b") as stream:
        stream.seek(start)
        stream.write(bytes(length) if kind == "zeros" else rng.randbytes(length))


def forget_writes(data: Path) -> None:
    """Empty the engine's log of writes, as a flush does: replaying it would undo most damages."""
    for log in (data / "collections" / NAME).glob("*/wal/*"):
        log.unlink()


def answers(collection: Collection, application: Application) -> Iterator[tuple[str, Any]]:
    """What searches, filters, lists and counts answer, by question."""
    retriever = application.retriever(collection)
    for text in list(read_queries(QUERIES).values())[:12]:
        for mode in ("hybrid", "dense", "bm25"):
            hits = retriever.retrieve(text, SearchOptions(mode=mode)).hits
            yield f"{mode}: {text}", [(str(hit.chunk.id), round(hit.score, 4)) for hit in hits]
    for text in PHRASES:
        hits = retriever.retrieve(text, SearchOptions(mode="dense", limit=400)).hits
        yield text, sorted(str(hit.chunk.id) for hit in hits)
    for expression in FILTERS:
        where = parse_filters([expression], collection.metadata_keys())
        yield expression, collection.count("chunk", where)
    for key in ("type", "folder", "source", "page", "author"):
        yield f"facets {key}", collection.facets(key, parse_filters([]))
    yield "list", sorted((r.source, r.chunks, r.title) for r in collection.documents())
    yield "count", [collection.count("chunk"), collection.count("document")]
    for record in sorted(collection.documents(), key=lambda record: record.source):
        texts = [chunk.text for chunk in collection.chunks_of(record.source)]
        yield f"show {record.source}", texts


def content(collection: Collection) -> dict[str, Any]:
    """Everything in a collection, for a comparison of the repaired one with the first."""
    chunks = sorted(collection.all_chunks(), key=lambda chunk: chunk.id.int)
    dense = collection.vectors("dense", [chunk.id for chunk in chunks])
    return {
        "records": sorted(map(repr, collection.documents())),
        "chunks": [repr(chunk) for chunk in chunks],
        "dense": {str(id): vector.tolist() for id, vector in dense.items()},
    }


def work(task: str, data: Path) -> None:
    """One task in a process of its own, which a damage may end; prints JSON."""
    application = Application(load_settings({}, data_dir=data))
    result: Any
    try:
        if task == "check":
            result = [[f.part, f.problem] for f in deep_check(application, NAME)]
        elif task == "repair":
            done = repair(application, NAME)
            result = [done.kept, len(done.from_text), len(done.from_files), dict(done.lost)]
        else:
            with application.catalog.open(NAME, short_lived=True) as collection:
                read = content(collection) if task == "content" else None
                result = read or [[k, v] for k, v in answers(collection, application)]
    except TwoTowerError as error:
        result = {"error": str(error)}
    print(json.dumps(result))


def run(task: str, data: Path) -> Any:
    """Run a task; a process that crashes or hangs gives an error."""
    command = [sys.executable, "-m", "benchmarks.damage", "--task", task, "--data", str(data)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT)
        return json.loads(done.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        return {"error": "the process crashed or hung"}


def same(repaired: Any, first: dict[str, Any]) -> bool:
    """Whether a collection is as it was: payloads equal, vectors the same but for rounding."""
    if "error" in repaired or repaired["records"] != first["records"]:
        return False
    if repaired["chunks"] != first["chunks"] or repaired["dense"].keys() != first["dense"].keys():
        return False
    pairs = ((vector, first["dense"][id]) for id, vector in repaired["dense"].items())
    return all(float(np.dot(one, other)) > 0.999 for one, other in pairs)  # noqa: PLR2004 - as in tests


def main() -> int:
    """Damage, check and repair."""
    parser = argparse.ArgumentParser(description="Damage a collection, one file at a time.")
    parser.add_argument("--damages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", choices=("check", "repair", "answers", "content"))
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    if chosen.task:
        work(chosen.task, chosen.data)
        return 0
    rng = random.Random(chosen.seed)
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound"
        application = Application(load_settings({}, data_dir=sound))
        with Ingestion(application, [HANDBOOK], NAME) as ingestion:
            list(ingestion.run())
        before, first = run("answers", sound), run("content", sound)
        cases = [(file, kind) for file in files_of(sound) for kind in KINDS]
        for number, (file, kind) in enumerate(rng.sample(cases, chosen.damages), start=1):
            data = Path(folder) / "damaged"
            subprocess.run(["cp", "-r", "--sparse=always", sound, data], check=True)  # noqa: S607
            if "wal" not in file.parts:
                forget_writes(data)
            damage(data / file, kind, rng)
            after, findings = run("answers", data), run("check", data)
            changed = after != before
            found = findings != []
            repaired = run("repair", data) if found else None
            whole = same(run("content", data), first) if found else not changed
            totals["damages"] += 1
            totals["change an answer"] += changed
            totals["refused or crashed"] += "error" in after
            totals["changed and found"] += changed and found
            totals["found without a change"] += found and not changed
            totals["as it was after the repair"] += whole
            verdict = "ok" if (found or not changed) and whole else "MISSED"
            problem = findings[0][1] if found and isinstance(findings, list) else findings
            if verdict != "ok" and "error" not in after:
                pairs = zip(before, after, strict=False)
                problem = f"{file.parent}: {[one[0] for one, other in pairs if one != other]}"
            print(f"{number:3} {verdict:6} {kind:5} {file.name:24} changed={changed!s:5} "
                  f"{str(problem)[:300]} repair={repaired}", flush=True)  # fmt: skip
            totals[verdict] += 1
            shutil.rmtree(data)
    for name, count in totals.items():
        print(f"{name:32}{count:5}")
    return int(totals["MISSED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
