import re
import tomllib

import pytest

from twotower.app.settings import PREFIX, Settings, declared, load_settings, load_with_origins
from twotower.app.settings.declared import describe_section
from twotower.app.settings.display import example, plain, text
from twotower.app.settings.groups import GROUPS
from twotower.retrieval.search.options import OPTIONS
from twotower.retrieval.vocabulary.errors import ConfigurationError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory and a user's configuration folder without files of settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def write(here):
    """Write a file of settings; its path."""

    def write(content, name="twotower.toml"):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    return write


# Declarations


def test_every_setting_is_declared_once_with_its_own_key_and_variable():
    settings = declared()
    fields = {name for group in GROUPS for name in group.model_fields}
    assert fields == set(Settings.model_fields)
    assert set(settings) == (fields - {"search"}) | (set(OPTIONS) - {"where"})
    assert not fields & set(OPTIONS)
    assert len({setting.path for setting in settings.values()}) == len(settings)
    assert all(setting.variable == PREFIX + name.upper() for name, setting in settings.items())


def test_descriptions_are_noun_phrases():
    """No list of words proves it, but each of these began a description that nobody understood."""
    unclear = re.compile(
        r"(Of|That|Their|Its|Whether|What|Where|When|How|So|For|Put|If|Use|Set|Is|Are)\b"
    )
    for setting in declared().values():
        assert re.match(r"[A-Z].* .*\.$", setting.description), setting.path
        assert not unclear.match(setting.description), setting.path
        assert setting.description.count(";") <= 1, setting.path
    for group in GROUPS:
        assert describe_section(group.section).endswith(".")


def test_keys_are_names_without_the_section_unless_declared_differently():
    paths = {name: setting.path for name, setting in declared().items()}
    assert paths["qdrant_url"] == "qdrant.url"
    assert paths["ui_port"] == "ui.port"
    assert paths["llm"] == "llm.model"
    assert paths["encoder"] == "encoder.model"
    assert paths["chunking"] == "chunking.strategy"
    assert paths["max_file_mb"] == "files.max_file_mb"
    assert paths["data_dir"] == "storage.data_dir"
    assert paths["fusion"] == "search.fusion"


# Sources and precedence


def test_an_option_wins_over_the_environment_over_the_file_over_the_default(write, monkeypatch):
    assert load_settings().ui_port == 8501
    write("[ui]\nport = 1001\n")
    assert load_settings().ui_port == 1001
    monkeypatch.setenv("TWOTOWER_UI_PORT", "1002")
    assert load_settings().ui_port == 1002
    assert load_settings(ui_port=1003).ui_port == 1003
    assert load_settings(ui_port=None).ui_port == 1002


def test_the_origin_of_each_value_is_known(write, monkeypatch):
    path = write("# mine\n\n[ui]\nhost = '::1'\nport = 1001\n\n[search]\ndepth = 7\n")
    monkeypatch.setenv("TWOTOWER_FUSION", "rrf")
    loaded = load_with_origins(None, collection="papers")
    origins = {name: str(origin) for name, origin in loaded.origins.items()}
    assert origins["ui_port"] == "twotower.toml, line 5"
    assert origins["depth"] == "twotower.toml, line 8"
    assert origins["fusion"] == "TWOTOWER_FUSION"
    assert origins["collection"] == "option"
    assert origins["llm"] == origins["rerank"] == "default"
    assert loaded.file is not None
    assert loaded.file.absolute() == path


def test_the_file_is_the_named_one_else_the_directorys_else_the_users(write, monkeypatch):
    write("[storage]\ncollection = 'user'\n", "config/twotower/twotower.toml")
    assert load_settings().collection == "user"
    write("[storage]\ncollection = 'directory'\n")
    assert load_settings().collection == "directory"
    monkeypatch.setenv("TWOTOWER_CONFIG", str(write("[storage]\ncollection = 'variable'\n", "v")))
    assert load_settings().collection == "variable"
    named = write("[storage]\ncollection = 'option'\n", "o")
    assert load_settings(file=named).collection == "option"


def test_only_one_file_is_read(write):
    write("[ui]\nport = 1001\n", "config/twotower/twotower.toml")
    write("[storage]\ncollection = 'directory'\n")
    assert load_settings().ui_port == 8501


def test_an_explicit_environment_reads_no_file_that_it_does_not_name(write):
    path = write("[ui]\nport = 1001\n")
    assert load_settings({}).ui_port == 8501
    assert load_settings({}, file=path).ui_port == 1001
    assert load_settings({"TWOTOWER_CONFIG": str(path)}).ui_port == 1001


def test_empty_values_are_not_set(write):
    path = write("[storage]\ncache_dir = ''\n[qdrant]\nurl = 'http://x'\n[search]\nweights = {}\n")
    settings = load_settings({"TWOTOWER_QDRANT_URL": ""}, file=path)
    assert settings.qdrant_url == "http://x"
    assert settings.cache_dir is None
    assert settings.search == {}


def test_relative_paths_of_a_file_count_from_its_folder(here, write):
    path = write(
        "[storage]\ndata_dir = 'data'\ncache_dir = '/cache'\n[ui]\nfolder = '~/texts'\n"
        "[encoder]\nmodel = './models/mine'\n[search]\ncross_encoder = 'hub/name'\n",
        "project/settings.toml",
    )
    settings = load_settings({"TWOTOWER_QDRANT_CA_FILE": "ca.pem"}, file=path)
    assert settings.data_dir == here / "project" / "data"
    assert str(settings.cache_dir) == "/cache"
    assert settings.ui_folder is not None
    assert settings.ui_folder.is_absolute()
    assert settings.encoder == str(here / "project" / "models" / "mine")
    assert settings.cross_encoder == "hub/name"
    assert str(settings.qdrant_ca_file) == "ca.pem"  # from the environment: the working directory


def test_every_kind_of_value_is_read_from_both_sources(write):
    path = write(
        "[qdrant]\ngrpc = true\napi_key = 'k'\n[llm]\nseconds = 3\n[index]\nlegs = ['dense']\n"
        "[search]\nrerank_weight = 1\n[search.weights]\ndense = 0.7\nbm25 = 0.3\n"
    )
    environment = {
        "TWOTOWER_QDRANT_GRPC": "true",
        "TWOTOWER_QDRANT_API_KEY": "k",
        "TWOTOWER_LLM_SECONDS": "3",
        "TWOTOWER_LEGS": "dense,",
        "TWOTOWER_RERANK_WEIGHT": "1",
        "TWOTOWER_WEIGHTS": "dense=0.7, bm25=0.3",
    }
    settings = load_settings({}, file=path)
    assert settings == load_settings(environment)
    assert settings.qdrant_grpc is True
    assert settings.qdrant_api_key.get_secret_value() == "k"
    assert settings.llm_seconds == 3.0
    assert settings.legs == ("dense",)
    assert settings.search == {"rerank_weight": 1.0, "weights": {"dense": 0.7, "bm25": 0.3}}


def test_search_holds_only_the_options_that_are_set():
    assert load_settings({}).search == {}
    assert load_settings({"TWOTOWER_DEPTH": "7"}, rerank="none", feedback=None).search == {
        "depth": 7,
        "rerank": "none",
    }
    assert load_settings({}, search={"depth": 7}).search == {"depth": 7}


def test_variables_of_others_are_ignored():
    load_settings({"PATH": "x", "TWOTOWER_TEST_QDRANT_URL": "x"})


# What is refused


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TWOTOWER_DEPHT", "TWOTOWER_DEPTH"),
        ("twotower_depht", "TWOTOWER_DEPTH"),
        ("TWOTOWER_PORT", "TWOTOWER_UI_PORT"),
        ("TWOTOWER_DENSE_WEIGHT", "TWOTOWER_WEIGHTS"),
    ],
)
def test_unknown_variables_are_refused_with_the_nearest_name(variable, meant):
    with pytest.raises(ConfigurationError, match=f"{variable} in .*: did you mean {meant}"):
        load_settings({variable: "7"})


def test_an_unknown_argument_is_refused():
    with pytest.raises(ConfigurationError, match="unknown setting data_dri: did you mean data_dir"):
        load_settings({}, data_dri="x")
    with pytest.raises(ConfigurationError, match="unknown setting where"):
        load_settings({}, where="x")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("UI_PORT", "eighty", "a whole number from 1 to 65,535"),
        ("UI_PORT", "0", "a whole number from 1 to 65,535"),
        ("LLM_SECONDS", "0", "a number greater than 0"),
        ("LLM_SECONDS", "nan", "a number greater than 0"),
        ("QDRANT_GRPC", "perhaps", "true or false"),
        ("PRECISION", "int3", "one of auto, fp32, bf16"),
        (
            "LEGS",
            "bm25",
            "a list of different legs (dense, bm25, short, views, colbert, splade) that contains",
        ),
        ("LEGS", "dense,dense", "a list of different legs"),
        ("LEGS", "dense,sparse", "a list of different legs"),
        ("DEPTH", "many", "a whole number from 0 to 10,000"),
        ("DEPTH", "1.5", "a whole number"),
        ("DEPTH", "-1", "a whole number"),
        ("RERANK", "magic", "one of none, late-interaction, cross-encoder"),
        ("RERANK_WEIGHT", "nan", "a number from 0 to 1"),
        ("WEIGHTS", "dense=2", "a weight from 0 to 1 for each leg (dense, bm25, short, "),
        ("WEIGHTS", "dense", "a weight from 0 to 1"),
        ("WEIGHTS", "dense=1,dense=0", "a weight from 0 to 1"),
        ("WEIGHTS", "sparse=1", "a weight from 0 to 1"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(name, value, allowed):
    message = f"the setting {PREFIX}{name} is '{value}': it must be {allowed}"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        load_settings({PREFIX + name: value})


def test_a_bad_argument_is_named():
    with pytest.raises(ConfigurationError, match="the setting ui_port is 0: it must be a whole"):
        load_settings({}, ui_port=0)
    with pytest.raises(ConfigurationError, match="the setting depth is true: it must be a whole"):
        load_settings({}, depth=True)
    with pytest.raises(ConfigurationError, match="the setting fusion is 3: it must be one of"):
        load_settings({}, fusion=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[ui]\nport = \n", "line 2: this is not TOML (invalid value); write settings as key ="),
        ("[ui]\n\nport = 'x", "line 3: this is not TOML ("),
        ("[ui]\nport = 1\nport = 2\n", "line 3: this is not TOML (cannot overwrite a value)"),
        ("[chunks]\nx = 1\n", "line 1: unknown section [chunks]: did you mean [chunking]?"),
        ("\n[zzz]\n", "line 2: unknown section [zzz]: the sections are storage, qdrant,"),
        ("['\\u001b']\n", "line 1: unknown section ['"),
        ("port = 1\n", "line 1: unknown key port outside a section: did you mean ui.port?"),
        ("ui = 1\n", "line 1: ui is a section: write [ui]"),
        ("[ui]\nprot = 1\n", "line 2: unknown key ui.prot: did you mean ui.port?"),
        ("[ui]\nui_port = 1\n", "line 2: unknown key ui.ui_port: did you mean ui.port?"),
        ("[ui]\nurl_of_it = 1\n", "line 2: unknown key ui.url_of_it: `twotower config` lists"),
        ("[ui]\nfusion = 'rrf'\n", "line 2: unknown key ui.fusion: did you mean search.fusion?"),
        ("[search]\ndense_weight = 1\n", "unknown key search.dense_weight: did you mean search.we"),
        ("[ui]\nport = '1'\n", "line 2: ui.port is '1': it must be a whole number from 1 to"),
        ("[ui]\nport = true\n", "line 2: ui.port is true: it must be a whole number from 1 to"),
        ("[ui]\n# no\nport = 0\n", "line 3: ui.port is 0: it must be a whole number from 1 to"),
        ("[qdrant]\ngrpc = 1\n", "line 2: qdrant.grpc is 1: it must be true or false"),
        ("[llm]\nmodel = 1979-05-27\n", "line 2: llm.model is datetime.date(1979, 5, 27): it must"),
        ("[llm]\napi_key = 12345\n", "line 2: llm.api_key is not text: it must be text"),
        ("[index]\nlegs = 'dense'\n", "line 2: index.legs is 'dense': it must be a list of"),
        ("[index]\nlegs = [\n  'bm25',\n]\n", "line 2: index.legs is ['bm25']: it must be a list"),
        ("[search]\nrerank = 'x'\n", "line 2: search.rerank is 'x': it must be one of none,"),
        ("[search.weights]\ndense = '1'\n", "line 1: search.weights is {'dense': '1'}: it must"),
        ("[ui]\nfolder = '~nobody-at-all/x'\n", "line 2: ui.folder is '~nobody-at-all/x': there"),
        (
            "[encoder]\ntrust_remote_code = true\n",
            "line 2: encoder.trust_remote_code is refused in the file of the working directory",
        ),
    ],
)
def test_an_error_in_a_file_names_the_file_the_line_and_the_remedy(write, content, message):
    write(content)
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        load_settings()
    assert str(caught.value).startswith("twotower.toml, line ")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "12345" not in str(caught.value)


def test_code_of_a_model_may_run_where_the_person_says_so(write, monkeypatch):
    path = write("[encoder]\ntrust_remote_code = true\n")
    assert load_settings(file=path).trust_remote_code
    assert load_settings({"TWOTOWER_TRUST_REMOTE_CODE": "true"}).trust_remote_code


def test_a_file_that_cannot_be_read_is_named(here):
    with pytest.raises(ConfigurationError, match=r"none\.toml: there is no such file"):
        load_settings({}, file=here / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load_settings({}, file=here)
    deep = here / "deep.toml"
    deep.write_text("x = " + "[" * 5000)
    with pytest.raises(
        ConfigurationError, match=r"deep\.toml: this is not TOML \(too deeply nested"
    ):
        load_settings({}, file=deep)
    latin = here / "latin.toml"
    latin.write_bytes(b"[ui]\nhost = '\xe4'\n")
    with pytest.raises(ConfigurationError, match=r"latin\.toml, line 2: the file is not UTF-8"):
        load_settings({}, file=latin)


def test_a_file_from_windows_is_read(here):
    path = here / "windows.toml"
    path.write_bytes("\ufeff[ui]\r\nhost = 'x'\r\nport = 1001\r\n".encode())
    loaded = load_with_origins({}, file=path)
    assert loaded.settings.ui_port == 1001
    assert loaded.origins["ui_port"].line == 3


def test_lines_are_found_however_a_key_is_written(write):
    path = write(
        'llm.model = "ollama:x"\n'
        "files = { hidden = true, max_pages = 3 }\n"
        "[encoder]\n"
        'question_prompt = """\n'
        "passage_prompt = 'no'\n"
        '[ui]"""\n'
        "\n"
        "# passage_prompt = 'no'\n"
        "passage_prompt = 'yes'\n"
        "[ui]\n"
        '"port" = 1001\n'
        "[search]\n"
        "weights = { dense = 1 }\n"
    )
    loaded = load_with_origins({}, file=path)
    lines = {name: origin.line for name, origin in loaded.origins.items() if origin.line}
    assert lines == {
        "llm": 1,
        "hidden": 2,
        "max_pages": 2,
        "question_prompt": 4,
        "passage_prompt": 9,
        "ui_port": 11,
        "weights": 13,
    }


# What is shown


def test_the_example_holds_every_setting_with_its_default(write):
    keys = re.sub(r"^# (\w+ = )", r"\1", example(), flags=re.MULTILINE)
    tables = tomllib.loads(keys)
    assert {f"{section}.{key}" for section in tables for key in tables[section]} == {
        setting.path for setting in declared().values()
    }
    loaded = load_with_origins({}, file=write(keys))
    defaults = load_settings({})
    assert loaded.settings.model_copy(update={"search": {}, "data_dir": ""}) == defaults.model_copy(
        update={"data_dir": ""}
    )
    assert load_settings({}, file=write(example())) == defaults
    assert max(map(len, example().splitlines())) <= 100


def test_no_secret_is_shown():
    settings = load_settings(
        {"TWOTOWER_QDRANT_API_KEY": "hush", "TWOTOWER_QDRANT_URL": "https://me:hush@host:6333"}
    )
    assert text(settings.qdrant_api_key) == "set"
    assert plain(settings.llm_api_key) == "not set"
    assert text(settings.qdrant_url) == "https://***@host:6333"
