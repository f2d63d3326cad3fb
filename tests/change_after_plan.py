"""Run before a command by `tests.zygote`: changes or removes a file once the run is planned."""

import os
from pathlib import Path

import app.ingestion

_plan = app.ingestion.plan


def plan(*arguments):
    planned = _plan(*arguments)
    file = Path(os.environ["TWOTOWER_TEST_CHANGE"])
    if os.environ.get("TWOTOWER_TEST_VANISH"):
        file.unlink()
    else:
        file.write_text("after")
    return planned


app.ingestion.plan = plan
