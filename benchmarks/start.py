"""Time and memory of commands in new processes, on both runtimes, in one run.

    .venv/bin/python -m benchmarks.start [--rounds N]

Ingests the example handbook into a temporary data directory. Then it runs these commands in turn,
each in a new process with its files in the page cache: `twotower search` in hybrid mode on OpenVINO
and on torch, a BM25 search, `status`, `--help`, the ingestion of one small file into a new
collection, and a Python program that does nothing. Prints median and minimum seconds from start to
exit, peak memory, and the ratio of each median to that of the Python program.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HANDBOOK = Path(__file__).resolve().parents[1] / "examples" / "handbook"
SEARCH = ("search", "security token has gone missing, who do I tell", "--limit", "3")
TWOTOWER = ("-m", "twotower")
BARE = "python -c pass"
ONE_FILE = "ingest one small file"
COMMANDS = {
    "search, openvino": ((*TWOTOWER, *SEARCH), "openvino"),
    "search, torch": ((*TWOTOWER, *SEARCH), "torch"),
    "search --mode bm25": ((*TWOTOWER, *SEARCH, "--mode", "bm25"), "auto"),
    "status": ((*TWOTOWER, "status"), "auto"),
    "--help": ((*TWOTOWER, "--help"), "auto"),
    ONE_FILE: ((*TWOTOWER, "ingest", "{one}"), "auto"),
    BARE: (("-c", "pass"), "auto"),
}


def run(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Run Python in a new process; return its duration in seconds and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"python {' '.join(arguments)} failed with exit code {process.returncode}")
    return took, used.ru_maxrss / 1024


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Run the commands in turn, ``rounds`` times, after one round that is not counted."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a person's shell keeps bytecode
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as data:
        environment = kept | {"TWOTOWER_DATA_DIR": data}
        run((*TWOTOWER, "ingest", str(HANDBOOK), "--json"), environment)
        one = Path(data, "one")
        one.mkdir()
        (one / "keys.md").write_text("# Keys\n\nThe spare key hangs behind the blue door.\n")
        for turn in range(rounds + 1):
            for name, (arguments, runtime) in COMMANDS.items():
                chosen = environment | {"TWOTOWER_RUNTIME": runtime}
                if name == ONE_FILE:
                    chosen["TWOTOWER_DATA_DIR"] = f"{data}/new {turn}"
                result = run(tuple(part.format(one=one) for part in arguments), chosen)
                if turn:
                    results[name].append(result)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure time and memory of commands.")
    parser.add_argument("--rounds", type=int, default=5)
    results = measure(parser.parse_args().rounds)
    medians = {name: median(took for took, _ in runs) for name, runs in results.items()}
    print("| command | median s | best s | peak MB | ratio to Python |\n|---|---|---|---|---|")
    for name, runs in results.items():
        times, peaks = zip(*runs, strict=True)
        row = f"{medians[name]:.2f} | {min(times):.2f} | {max(peaks):.0f}"
        print(f"| {name} | {row} | {medians[name] / medians[BARE]:.1f} |")
    print(f"\ntorch / openvino: {medians['search, torch'] / medians['search, openvino']:.1f}")


if __name__ == "__main__":
    main()
