"""The documents are true: what they name exists, and what exists is named."""

import re
import subprocess
import tomllib

import pytest
import typer.main

from benchmarks import scaling
from docs import tables
from tests.conftest import ROOT
from twotower.__main__ import app
from twotower.app.cli.lazy import LazyCommand
from twotower.app.settings import declared, load_settings

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_and_option_is_in_the_readme():
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f"twotower {name}" in README
        loaded = command.load() if isinstance(command, LazyCommand) else command
        for parameter in loaded.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    assert f"`{option}" in README or f" {option}" in README, f"{name} {option}"
    assert "`twotower --config FILE COMMAND`" in README


def test_the_tables_of_formats_and_settings_are_as_the_code_has_them():
    """`make tables` writes them."""
    for table in (tables.formats(), tables.settings()):
        assert table in README
    assert tables.written(README) == README


def test_the_readmes_file_of_settings_is_valid(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "twotower.toml"
    path.write_text(example, encoding="utf-8")
    assert load_settings({}, file=path).llm == "ollama:qwen3"


def test_every_setting_that_a_document_names_exists():
    known = {setting.variable for setting in declared().values()} | {"TWOTOWER_CONFIG"}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"\bTWOTOWER_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8")):
            assert name in known or name.startswith("TWOTOWER_TEST_"), (page.name, name)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/extending.md",
        "docs/glossary.md",
        "docs/quality.md",
        "docs/scaling.md",
    ],
)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_modules_that_the_architecture_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:app|evaluation|ingest|retrieval|ui)/[\w/]+\.py)`", text):
        assert (ROOT / path).is_file(), path


def test_the_rooms_of_the_architecture_are_the_layers_that_lint_imports_checks():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    picture = text.split("## The rooms")[1].split("```")[1]
    rows = [line for line in picture.splitlines() if line.strip()][::-1]
    rank_of = {}
    for layer in layers:
        for module in layer.replace("twotower.", "").split("|"):
            folder = module.strip().replace(".", "/")
            if folder not in ("__main__", "langchain"):  # the program, in src/twotower
                rank_of[folder] = next(
                    (n for n, row in enumerate(rows) if re.search(rf"\b{folder}\b", row)), None
                )
    assert None not in rank_of.values(), rank_of
    assert list(rank_of.values()) == sorted(rank_of.values())
    rooms = ("vocabulary", "models", "index", "legs", "ingest", "search", "evaluation", "training")
    for room in rooms:
        assert f"\n**{room}** " in text


def test_every_folder_with_code_belongs_to_a_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package in ("app", "evaluation", "ingest", "retrieval", "training", "ui"):
        for folder in {file.parent for file in (ROOT / package).glob("*/*.py")}:
            name = folder.relative_to(ROOT).as_posix()
            parts = (name, f"`{folder.name}/`", f"`{package}`")
            assert any(part in text for part in parts), name


def test_the_worked_examples_and_the_formula_are_those_of_the_benchmark():
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert scaling.tables() in text
    for name, (fixed, each) in {
        "BM25": scaling.BM25_VECTOR,
        "payload indexes": scaling.PAYLOAD_INDEXES,
        "payload": scaling.PAYLOAD,
    }.items():
        assert re.search(rf"^    {name} +{fixed} \+ {each} t ", text, re.MULTILINE)
    for name, each in (("graph", scaling.GRAPH), ("ids", scaling.IDS)):
        assert re.search(rf"^    {name} +{each} ", text, re.MULTILINE)


def test_constraints_pin_everything_and_name_no_place():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["eval"]]
    pinned = {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
    for requirement in wanted:
        assert re.match(r"[\w-]+", requirement)[0].lower() in pinned


def test_no_address_of_a_registry_is_committed():
    listed = subprocess.run(
        ["git", "grep", "-lE", r"(pypi|pythonhosted|npmjs|debian)\.(org|com)", "--", "."],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert [name for name in listed.stdout.split() if "test_documentation" not in name] == []
