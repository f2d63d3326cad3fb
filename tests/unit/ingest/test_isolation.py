import os
import time

import pytest

from ingest.loaders.isolation import Workers
from retrieval.errors import DocumentError


def abort():
    os.abort()


def hang():
    time.sleep(60)


def swallow():
    return len(bytearray(3 * 2**30))


def refuse():
    raise DocumentError("the file is sour", "sour")


def stumble():
    raise KeyError("what")


def answer():
    print("parsers must not print on the person's terminal")
    return 42


@pytest.fixture(scope="module")
def workers():
    with Workers(2, seconds=3, memory_mb=2048) as workers:
        workers.result(workers.submit(answer))  # started: the clock below is the task's alone
        yield workers


@pytest.mark.parametrize(
    ("task", "kind", "reason"),
    [
        (abort, "crashed", "exit code"),
        (hang, "timeout", "longer than 3 s"),
        (swallow, "memory", "2048 MB"),
        (refuse, "sour", "the file is sour"),
        (stumble, "malformed", "KeyError"),
    ],
)
def test_a_bad_task_costs_itself_alone(workers, task, kind, reason, capfd):
    bad = workers.submit(task)
    good = [workers.submit(answer) for _ in range(3)]
    with pytest.raises(DocumentError, match=reason) as caught:
        workers.result(bad)
    assert caught.value.kind == kind
    assert [workers.result(future) for future in good] == [42, 42, 42]
    assert capfd.readouterr().out == ""
