import hashlib
import shutil

import pytest

from retrieval.errors import ConfigurationError
from retrieval.model_folder import ModelFolder, find_model, load_tokenizer

OFFICIAL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture
def copy(model, tmp_path):
    """The model's small files, with weights that are cheap to hash."""
    folder = tmp_path / "copy"
    shutil.copytree(model.path, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_packaged_weights_are_the_official_ones(model):
    weights = (model.path / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == OFFICIAL


def test_the_default_encoder_reads_256_tokens(model):
    assert model.window == 256


def test_the_fingerprint_ignores_name_and_place(copy, tmp_path):
    before = ModelFolder("one", copy).fingerprint
    moved = copy.rename(tmp_path / "elsewhere")
    assert ModelFolder("two", moved).fingerprint == before


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json", "modules.json"]
)
def test_the_fingerprint_covers_what_decides_the_vectors(copy, name):
    before = ModelFolder("one", copy).fingerprint
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    assert ModelFolder("one", copy).fingerprint != before


def test_the_fingerprint_covers_the_prompts(copy):
    plain = ModelFolder("one", copy)
    asking = ModelFolder("one", copy, question_prompt="query: ")
    telling = ModelFolder("one", copy, passage_prompt="query: ")
    assert len({plain.fingerprint, asking.fingerprint, telling.fingerprint}) == 3


def test_a_local_folder_is_a_model(copy):
    assert find_model(str(copy)) == copy


def test_a_folder_without_modules_is_none(tmp_path):
    with pytest.raises(ConfigurationError, match=r"modules\.json"):
        find_model(str(tmp_path))


def test_a_hub_name_is_downloaded(copy):
    asked = []
    find_model("organisation/name", download=lambda name: asked.append(name) or str(copy))
    assert asked == ["organisation/name"]


def test_a_hub_that_is_not_reached_is_one_clear_error():
    with pytest.raises(ConfigurationError, match="TWOTOWER_ENCODER"):
        find_model("organisation/name")


def test_a_model_without_a_fast_tokenizer_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
