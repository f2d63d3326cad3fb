"""Commands that need no model start as if there were none."""

import subprocess
import sys
import time

import pytest

SLOW = ("torch", "sentence_transformers", "transformers", "unstructured", "spacy", "pandas")


def imported(handbook, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=handbook.environment,
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


COMMANDS = [
    (["--help"], 1.0),
    (["status"], 1.0),
    (["search", "--mode", "bm25", "seal kit"], 2.0),
]


@pytest.mark.parametrize(("arguments", "_limit"), COMMANDS)
def test_nothing_slow_is_imported(handbook, arguments, _limit):
    modules = imported(handbook, *arguments)
    assert "typer" in modules
    assert modules.isdisjoint(SLOW)


@pytest.mark.parametrize(("arguments", "limit"), COMMANDS)
def test_the_answer_comes_in_time(handbook, arguments, limit):
    """The best of five: the machine may be busy, the program may not be slow."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert handbook.fresh(*arguments).code == 0
        times.append(time.perf_counter() - start)
    assert min(times) < limit
