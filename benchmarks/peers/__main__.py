"""Comparison of twotower with similar systems: same passages, same model, one run.

    .venv/bin/python -m benchmarks.peers DIR [DIR...] [--only NAME...]

Each DIR is a folder of labelled questions with a corpus (in the BEIR layout). The benchmark sets up
an environment for the other systems in .venv-peers, from benchmarks/peers/requirements.txt. For
each system and set it prints:

- the passages ingested per second, with the model loaded before the clock starts;
- the time of a second ingestion, and how many times each passage is stored after it;
- the seconds from a new process to the first answer;
- the milliseconds of a warm question, and nDCG@10.

`systems.py` sets up each system, and docs/performance.md says where the comparison is not fair.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import ir_measures
import numpy as np

from twotower.evaluation.dataset import Dataset, read_corpus, read_dataset

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".venv-peers"
SYSTEMS = ("langchain", "llamaindex", "haystack", "txtai", "chroma", "twotower")
COLD = 3  # new processes for the time to the first answer


def set_up() -> None:
    """Create the environment of the other systems, or create it again if its packages changed."""
    stamp = ENVIRONMENT / "requirements.txt"
    requirements = (HERE / "requirements.txt").read_text(encoding="utf-8")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == requirements:
        return
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    python = os.fspath(ENVIRONMENT / "bin" / "python")
    file = os.fspath(HERE / "requirements.txt")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", file], check=True)
    stamp.write_text(requirements, encoding="utf-8")


def run(name: str, folder: Path, task: str, file: Path) -> tuple[dict[str, Any], float]:
    """Run one task in a new process; return its printed JSON and its duration in seconds."""
    ours = name == "twotower"
    python = sys.executable if ours else os.fspath(ENVIRONMENT / "bin" / "python")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")}
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "ANONYMIZED_TELEMETRY": "False"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [python, os.fspath(HERE / "worker.py"), name, os.fspath(folder), task]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, os.fspath(file)],
        capture_output=True,
        text=True,
        check=False,
        env=environment | offline | ({"PYTHONPATH": os.fspath(ROOT / "src")} if ours else {}),
    )
    took = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{name} {task} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]), took


def ndcg(dataset: Dataset, rankings: dict[str, list[str]]) -> float:
    """Return the mean nDCG@10 over the judged questions."""
    runs = {
        question: {id: 1.0 / rank for rank, id in enumerate(rankings[question], start=1)}
        for question in dataset.judged
    }
    value = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], dataset.judged, runs)
    return float(value[ir_measures.nDCG @ 10])


def measure(name: str, dataset: Dataset, file: Path) -> str:
    """Measure one system and return its row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        passages = len(json.loads(file.read_text(encoding="utf-8"))["passages"])
        first, _ = run(name, folder, "ingest", file)
        cold = [run(name, folder, "first", file)[1] for _ in range(COLD)]
        warm, _ = run(name, folder, "search", file)
        again, _ = run(name, folder, "ingest", file)
    p50, p95 = np.percentile(warm["ms"], [50, 95])
    cells = [
        name,
        f"{passages / first['seconds']:.1f}",
        f"{again['seconds']:.1f} s, {again['stored'] / first['stored']:.0f} x stored",
        f"{median(cold):.2f}",
        f"{p50:.1f}",
        f"{p95:.1f}",
        f"{ndcg(dataset, warm['rankings']):.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Set up, measure and print."""
    parser = argparse.ArgumentParser(description="Compare twotower with similar systems.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    arguments = parser.parse_args()
    set_up()
    for folder in arguments.folders:
        dataset = read_dataset(folder)
        passages = [
            (d.id, f"{d.title}. {d.text}" if d.title else d.text) for d in read_corpus(folder)
        ]
        passages = [(id, text) for id, text in passages if text.strip()]
        print(f"\n{dataset.name}: {len(passages)} passages, {len(dataset.judged)} questions\n")
        print("| system | passages/s | second ingest | cold s | p50 ms | p95 ms | nDCG@10 |")
        print("|---|---|---|---|---|---|---|", flush=True)
        questions = {id: dataset.questions[id] for id in dataset.judged}
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, "task.json")
            file.write_text(json.dumps({"passages": passages, "questions": questions}), "utf-8")
            for name in arguments.only:
                print(measure(name, dataset, file), flush=True)


if __name__ == "__main__":
    main()
