"""Script that runs one task of one system: `benchmarks.peers` runs it in the system's environment.

    python worker.py SYSTEM FOLDER ingest|search|first TASK.json

`ingest` prints the seconds (with the model loaded and the index open) and the number of stored
passages. `search` prints rankings and milliseconds. `first` answers one question, and the caller
measures the time of the process.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

sys.path[:0] = [os.fspath(Path(__file__).parent)]

from systems import opened  # noqa: E402 - a script: the package above it belongs to another environment

WARM = 10


def main() -> None:
    """Run one task; the last line printed is JSON."""
    name, folder, task, file = sys.argv[1:5]
    inputs = json.loads(Path(file).read_text(encoding="utf-8"))
    system = opened(name, Path(folder))
    result: dict[str, object] = {}
    if task == "ingest":
        passages = [(id, text) for id, text in inputs["passages"]]
        if hasattr(system, "prepare"):
            system.prepare(passages)
        start = time.perf_counter()
        system.ingest(passages)
        result = {"seconds": time.perf_counter() - start, "stored": system.count()}
    else:
        questions = inputs["questions"]
        if task == "first":
            questions = dict(list(questions.items())[:1])
        else:
            for text in list(questions.values())[:WARM]:
                system.search(text)
        rankings, times = {}, []
        for id, text in questions.items():
            start = time.perf_counter()
            rankings[id] = system.search(text)
            times.append((time.perf_counter() - start) * 1000)
        result = {"rankings": rankings, "ms": times}
    print(json.dumps(result), flush=True)
    os._exit(0)  # some systems start threads that never end


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
