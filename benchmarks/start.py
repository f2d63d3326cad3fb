"""How soon the first answer comes: fresh processes on both runtimes, in one run.

    .venv/bin/python -m benchmarks.start [--rounds N]

Ingests the example handbook into a place of its own, then runs `twotower search` in hybrid mode on
OpenVINO and on torch, and `twotower --help`, turn by turn, each in a new process whose files are
in the page cache. Prints median and best seconds from start to exit, peak memory, and the ratio.
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
COMMANDS = {
    "search, openvino": (SEARCH, "openvino"),
    "search, torch": (SEARCH, "torch"),
    "--help": (("--help",), "auto"),
}


def run(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command in a new process; seconds it took, and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"twotower {' '.join(arguments)} ended with {process.returncode}")
    return took, used.ru_maxrss / 1024


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Run every command so often, turn by turn, after one turn that is not counted."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a person's shell keeps bytecode
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as data:
        environment = kept | {"TWOTOWER_DATA_DIR": data}
        run(("ingest", str(HANDBOOK), "--json"), environment)
        for turn in range(rounds + 1):
            for name, (arguments, runtime) in COMMANDS.items():
                result = run(arguments, environment | {"TWOTOWER_RUNTIME": runtime})
                if turn:
                    results[name].append(result)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How soon the first answer comes.")
    parser.add_argument("--rounds", type=int, default=5)
    results = measure(parser.parse_args().rounds)
    print("| command | median s | best s | peak MB |\n|---|---|---|---|")
    for name, runs in results.items():
        times, peaks = zip(*runs, strict=True)
        print(f"| {name} | {median(times):.2f} | {min(times):.2f} | {max(peaks):.0f} |")
    ours, theirs = (median(took for took, _ in results[name]) for name in list(COMMANDS)[:2])
    print(f"\ntorch / openvino: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
