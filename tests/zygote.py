"""Runs commands of `twotower` in forks of a process that has imported everything already.

    python -m tests.zygote

It reads one JSON object a line, ``{"arguments", "environment", "out", "err"}``, forks, runs the
command as the console script would with its streams in the named files, and answers with a line
``{"pid"}`` at once and ``{"code"}`` (negative: the signal that ended it) when it ended. What is
saved is the time that importing the runtimes and the parsers takes; nothing is
replaced.
"""

import importlib
import json
import os
import runpy
import sys
from multiprocessing import forkserver

from twotower.app.cli.lazy import COMMANDS

RUNTIMES = [
    "twotower.retrieval.search.retriever",
    "twotower.retrieval.models.runtime",
    "openvino",
    "twotower.retrieval.index.catalog.server",
]
if os.environ.get("TWOTOWER_TEST_RUNTIME") == "torch":
    RUNTIMES += ["torch", "sentence_transformers"]


def run(request: dict) -> None:
    """The child: set up as a fresh process would be, and never return."""
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, descriptor in (("out", 1), ("err", 2)):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    sys.argv = ["twotower", *request["arguments"]]
    for module in request["before"]:
        runpy.run_module(module)
    # The zygote's fork server, started below with the parsers loaded, serves this process as well.
    forkserver._forkserver.ensure_running = lambda: None
    from twotower.__main__ import main

    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    # Imported, never run: a fork of a process whose libraries have started threads would hang.
    # openvino comes after our runtime, which keeps it from sending its reports.
    modules = {f"twotower.app.cli.{module}" for module, _ in COMMANDS.values()}
    for name in (*sorted(modules), *RUNTIMES):
        importlib.import_module(name)
    forkserver.set_forkserver_preload(["twotower.ingest.loaders.preload"])
    forkserver.ensure_running()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    requests = os.fdopen(os.dup(0), "r")
    for line in iter(requests.readline, ""):
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        answers.write(json.dumps({"pid": child}) + "\n")
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")


if __name__ == "__main__":
    serve()
