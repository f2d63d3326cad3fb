"""Run before a command by `tests.zygote`: changes or removes a file after a run is planned."""

import os
from pathlib import Path

import twotower.app.services.ingestion

_plan = twotower.app.services.ingestion.plan


def plan(*arguments):
    planned = _plan(*arguments)
    file = Path(os.environ["TWOTOWER_TEST_CHANGE"])
    if os.environ.get("TWOTOWER_TEST_VANISH"):
        file.unlink()
    else:
        file.write_text("after")
    return planned


twotower.app.services.ingestion.plan = plan
