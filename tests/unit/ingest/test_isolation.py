import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from twotower.ingest.loaders.isolation import Workers
from twotower.retrieval.vocabulary.errors import DocumentError

PATH = os.pathsep.join(map(str, (ROOT, ROOT / "src")))


def abort():
    os.abort()


def hang():
    time.sleep(60)


def use_memory():
    return len(bytearray(3 * 2**30))


def refuse():
    raise DocumentError("the file is encrypted", "encrypted")


def fail():
    raise KeyError("missing")


def hold_the_interpreter(started: Path):
    started.write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")


def answer():
    print("parsers must not print to the terminal")
    return 42


@pytest.fixture(scope="module")
def workers():
    with Workers(2, seconds=3, memory_mb=2048) as workers:
        workers.result(workers.submit(answer))  # the time limit below must not include the start
        yield workers


@pytest.mark.parametrize(
    ("task", "kind", "reason"),
    [
        (abort, "crashed", "exit code"),
        (hang, "timeout", "longer than 3 s"),
        (use_memory, "memory", "2048 MB"),
        (refuse, "encrypted", "the file is encrypted"),
        (fail, "malformed", "KeyError"),
    ],
)
def test_a_task_that_fails_does_not_affect_the_others(workers, task, kind, reason, capfd):
    bad = workers.submit(task)
    good = [workers.submit(answer) for _ in range(3)]
    with pytest.raises(DocumentError, match=reason) as caught:
        workers.result(bad)
    assert caught.value.kind == kind
    assert [workers.result(future) for future in good] == [42, 42, 42]
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has to get its turn")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(tmp_path, number):
    started = tmp_path / "started"
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.ingest.test_isolation import hold_the_interpreter\n"
        "from twotower.ingest.loaders.isolation import Workers\n"
        "workers = Workers(1, seconds=120, memory_mb=4096)\n"
        f"future = workers.submit(hold_the_interpreter, Path({str(started)!r}))\n"
        "workers.result(future)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": PATH})
    while not (started.exists() and started.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    worker = int(started.read_text())
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 2
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(worker)


def is_alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
