"""Commands start as if what they do not need were not there."""

import subprocess
import sys

import pytest

from tests.conftest import HANDBOOK, RUNTIME
from twotower.app.cli.lazy import COMMANDS as COMMAND_TABLE

# Packages that take long to import, or that only one way in needs.
WATCHED = {
    "torch", "sentence_transformers", "transformers", "openvino", "unstructured", "spacy",
    "pandas", "pypdfium2", "docx", "numpy", "scipy", "sklearn", "matplotlib", "ir_measures",
    "langchain_core", "streamlit", "qdrant_client", "huggingface_hub", "yaml", "asyncio",
}  # fmt: skip
TOWER = {"openvino"} if RUNTIME != "torch" else {"torch", "sentence_transformers", "transformers"}

COMMANDS = [
    (["--help"], set()),
    (["search", "--help"], {"numpy"}),
    (["status"], {"numpy"}),
    (["list"], {"numpy"}),
    (["show", "it/accounts-and-passwords.html"], {"numpy"}),
    (["facets", "type"], {"numpy"}),
    (["search", "--mode", "bm25", "seal kit"], {"numpy"}),
    (["search", "seal kit"], {"numpy"} | TOWER),
    (["ask", "seal kit"], {"numpy"} | TOWER),
    (["search", "--explain", "--rerank", "late-interaction", "seal kit"], {"numpy"} | TOWER),
]


def modules_of(handbook, *arguments: object) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "twotower", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=handbook.environment,
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip() for line in lines}


def imported(handbook, *arguments: object) -> set[str]:
    """Return the packages that a command imports."""
    return {module.split(".")[0] for module in modules_of(handbook, *arguments)}


@pytest.mark.parametrize(("arguments", "expected"), COMMANDS)
def test_nothing_is_imported_that_is_not_needed(handbook, arguments, expected):
    modules = imported(handbook, *arguments)
    assert "typer" in modules
    if "torch" in expected:  # brings others of the list along
        assert expected <= modules
    else:
        assert modules & WATCHED == expected


def test_the_help_imports_no_module_of_a_command(handbook):
    modules = modules_of(handbook, "--help")
    assert modules.isdisjoint(f"twotower.app.cli.{module}" for module, _ in COMMAND_TABLE.values())
    assert "twotower.app.cli.lazy" in modules


def test_an_ingestion_that_embeds_nothing_loads_no_model(handbook):
    modules = imported(handbook, "ingest", HANDBOOK)
    assert modules.isdisjoint({"torch", "sentence_transformers", "openvino", "unstructured"})


def test_openvino_reports_to_nobody(handbook):
    """Its telemetry package, where it is installed, is kept from being imported."""
    script = (
        "import sys, twotower.retrieval.models.runtime, openvino;"
        "print(sorted(n for n in sys.modules if n.startswith('openvino_telemetry.')),"
        " sys.modules['openvino_telemetry'], type(openvino.tools.ovc.telemetry).__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=handbook.environment,
    )
    assert done.stdout == "[] None openvino.tools.ovc.telemetry_stub\n"
