"""`twotower config`, and `--config FILE` before any command, each in a process of its own."""

import json
import re

import pytest

from tests.conftest import ROOT


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[storage]\ncollection = 'papers'\n[qdrant]\napi_key = 'hush'\n[search]\ndepth = 30\n",
        encoding="utf-8",
    )
    return path


def test_every_value_is_printed_with_its_source(twotower, file):
    done = twotower("--config", file, "config", TWOTOWER_UI_PASSWORD="hush", TWOTOWER_DEPTH="40")
    assert done.code == 0
    rows = {
        words[0]: words[1:]
        for line in done.out.splitlines()
        if line.startswith("  ") and (words := line.split(maxsplit=2))
    }
    assert rows["collection"] == ["papers", f"{file}, line 2"]
    assert rows["depth"] == ["40", "TWOTOWER_DEPTH"]
    assert rows["data_dir"][1] == "TWOTOWER_DATA_DIR"
    assert rows["port"] == ["8501", "default"]
    assert re.search(rf"api_key +set +{file}, line 4$", done.out, re.MULTILINE)
    assert "hush" not in done.out
    assert "[search] Defaults of the search options" in done.out


def test_config_as_json(twotower, file):
    done = twotower("--config", file, "config", "--json", TWOTOWER_UI_PASSWORD="hush")
    assert "hush" not in done.out
    assert done.json["file"] == str(file)
    settings = done.json["settings"]
    assert settings["storage"]["collection"] == {
        "value": "papers",
        "origin": "file",
        "file": str(file),
        "line": 2,
    }
    assert settings["ui"]["password"] == {
        "value": "set",
        "origin": "environment",
        "variable": "TWOTOWER_UI_PASSWORD",
    }
    assert settings["llm"]["api_key"] == {"value": "not set", "origin": "default"}
    assert settings["index"]["legs"] == {"value": ["dense", "bm25"], "origin": "default"}


def test_the_example_goes_where_the_path_says(twotower, tmp_path):
    where = tmp_path / "config"
    done = twotower("config", "--path", XDG_CONFIG_HOME=str(where))
    assert done.out == f"{where / 'twotower' / 'twotower.toml'}\n"
    example = twotower("config", "--example").out
    (where / "twotower").mkdir(parents=True)
    (where / "twotower" / "twotower.toml").write_text(
        example.replace("# collection = ", "collection = 'papers' # "), encoding="utf-8"
    )
    done = twotower("config", "--json", XDG_CONFIG_HOME=str(where))
    assert done.json["settings"]["storage"]["collection"]["value"] == "papers"
    assert twotower("config", "--path", "--example").code == 2


def test_the_file_counts_for_every_command_and_an_option_wins_over_it(twotower, file):
    missing = twotower("--config", file, "list")
    assert missing.code == 2
    assert "'papers'" in missing.err
    missing = twotower("list", TWOTOWER_CONFIG=str(file))
    assert "'papers'" in missing.err
    assert "'other'" in twotower("--config", file, "list", "--collection", "other").err


def test_the_file_of_the_working_directory_is_read(twotower, tmp_path, file):
    (tmp_path / "twotower.toml").write_bytes(file.read_bytes())
    done = twotower.fresh(
        "config", "--json", prefix=["env", "-C", str(tmp_path)], PYTHONPATH=str(ROOT / "src")
    )
    assert json.loads(done.out)["settings"]["storage"]["collection"]["file"] == "twotower.toml"


@pytest.mark.parametrize("command", [("status",), ("config",), ("search", "seals")])
def test_a_bad_file_is_one_line_and_exit_code_2(twotower, tmp_path, command):
    done = twotower("--config", tmp_path / "none.toml", *command)
    assert (done.code, done.out) == (2, "")
    assert "none.toml: there is no such file of settings" in done.err
    bad = tmp_path / "bad.toml"
    bad.write_text("[ui]\nprot = 1\n", encoding="utf-8")
    done = twotower("--config", bad, *command)
    assert done.code == 2
    assert done.err == f"error: {bad}, line 2: unknown key ui.prot: did you mean ui.port?\n"
