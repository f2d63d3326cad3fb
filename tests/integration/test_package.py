"""The package as others install it: one import name, beside a project's own `app` and `ui`."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import twotower
from tests.conftest import OFFLINE, ROOT

TAKEN = ("app", "evaluation", "ingest", "retrieval", "ui")
PROGRAM = """
import app, evaluation, ingest, retrieval, ui
assert app.OWN and ui.OWN
from twotower.langchain import TwoTowerRetriever
from twotower.app.example import HANDBOOK, QUERIES
assert HANDBOOK.is_dir() and QUERIES.is_file()
print(TwoTowerRetriever.__module__)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project that has packages of the names of our folders."""
    folder = tmp_path_factory.mktemp("a project")
    for name in TAKEN:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("OWN = True\n")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, cwd=folder)
    (built,) = folder.glob("twotower-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel in an environment of its own, whose dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*command, wheel], check=True)
    return python


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")}
    return kept | {"PYTHONPATH": str(OFFLINE), **more}


def run(python: Path | str, *arguments: object, cwd: Path, **more: str) -> str:
    done = subprocess.run(
        [python, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**more),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_one_import_package_with_the_page_and_the_example(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (top,) = (name for name in names if name.endswith("top_level.txt"))
        assert archive.read(top).decode().split() == ["twotower"]
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"twotower"}
    for part in (
        "py.typed",
        "ui/style.css",
        "ui/.streamlit/config.toml",
        "example/queries.jsonl",
        "example/qrels/test.tsv",
        "example/handbook/it/accounts-and-passwords.html",
    ):
        assert f"twotower/{part}" in names


def test_beside_a_projects_own_packages_the_wheel_works(installed, project):
    assert run(installed, "-c", PROGRAM, cwd=project).strip() == "twotower.app.langchain"
    assert str(ROOT) not in run(installed, "-c", "import twotower; print(twotower)", cwd=project)


def test_beside_a_projects_own_packages_the_checkout_works(project):
    source = os.pathsep.join(map(str, (OFFLINE, ROOT / "src")))
    out = run(sys.executable, "-c", PROGRAM, cwd=project, PYTHONPATH=source)
    assert out.strip() == "twotower.app.langchain"


def test_the_installed_command_ingests_the_example_and_finds_it(
    installed, project, model_cache, tmp_path
):
    settings = {
        "TWOTOWER_DATA_DIR": str(tmp_path / "data"),
        "TWOTOWER_CACHE_DIR": str(model_cache.folder),
    }
    where = "from twotower.app.example import HANDBOOK; print(HANDBOOK)"
    handbook = run(installed, "-c", where, cwd=project).strip()
    assert str(ROOT) not in handbook
    command = installed.with_name("twotower")
    run(command, "ingest", f"{handbook}/it", cwd=project, **settings)
    assert "accounts-and-passwords.html" in run(
        command, "search", "lost security token", cwd=project, **settings
    )


def test_the_five_lines_of_the_readme(handbook, capsys, monkeypatch):
    """The first Python example of the README, as it is written there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = next(
        block
        for block in readme.split("```python\n")[1:]
        if "open_index" in block.partition("```")[0]
    ).partition("```")[0]
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 5
    assert sum(line.startswith(("import ", "from ")) for line in lines) == 1
    for name in ("TWOTOWER_DATA_DIR", "TWOTOWER_CACHE_DIR"):
        monkeypatch.setenv(name, handbook.environment[name])
    exec(compile(example, "README.md", "exec"), {})
    assert "accounts-and-passwords.html" in capsys.readouterr().out


def test_the_face_of_the_package():
    assert 8 <= len(twotower.__all__) <= 14
    for name in twotower.__all__:
        assert getattr(twotower, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = twotower.nothing
