import os
import subprocess
import sys

import pytest

from twotower.app.threads import _quota, limit_threads, usable_cores


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container(files, expected, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert _quota(tmp_path) == expected


def test_a_part_of_a_core_is_one(monkeypatch):
    monkeypatch.setattr("twotower.app.threads._quota", lambda: 0.5)
    assert usable_cores() == 1
    assert limit_threads(3) == 3
    assert limit_threads() == 1


def test_blas_has_one_thread_and_the_others_what_is_set():
    """In a process of its own: a library reads its variable when it is loaded."""
    script = (
        "from twotower.app.cli.application import load_application;"
        "import os, numpy, threadpoolctl;"
        "application = load_application();"
        "print([i['num_threads'] for i in threadpoolctl.threadpool_info()],"
        " application.models._threads, os.environ['OMP_NUM_THREADS'],"
        " os.environ['OMP_WAIT_POLICY'])"
    )
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("_NUM_THREADS", "_POLICY"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=kept | {"TWOTOWER_THREADS": "3"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[1] 3 3 PASSIVE\n"
