import hashlib
import shutil

import pytest

from twotower.retrieval.models.model_folder import ModelFolder, find_model, load_tokenizer
from twotower.retrieval.vocabulary.errors import ConfigurationError

OFFICIAL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture
def copy(model, tmp_path):
    """The small files of the model, with weights that are cheap to hash."""
    folder = tmp_path / "copy"
    shutil.copytree(model.path, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_packaged_weights_are_the_official_ones(model):
    weights = (model.path / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == OFFICIAL


def test_the_default_encoder_reads_256_tokens(model):
    assert model.window == 256


def test_the_fingerprint_ignores_name_and_path(copy, tmp_path):
    before = ModelFolder("one", copy).fingerprint
    renamed = copy.rename(tmp_path / "elsewhere")
    assert ModelFolder("two", renamed).fingerprint == before


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json", "modules.json"]
)
def test_the_fingerprint_covers_every_file_that_affects_the_vectors(copy, name):
    before = ModelFolder("one", copy).fingerprint
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    assert ModelFolder("one", copy).fingerprint != before


def test_the_fingerprint_covers_the_prompts(copy):
    plain = ModelFolder("one", copy)
    question = ModelFolder("one", copy, question_prompt="query: ")
    passage = ModelFolder("one", copy, passage_prompt="query: ")
    assert len({plain.fingerprint, question.fingerprint, passage.fingerprint}) == 3


def test_a_local_folder_is_found(copy):
    assert find_model(str(copy)) == copy


def test_a_folder_without_modules_is_not_a_model(tmp_path):
    with pytest.raises(ConfigurationError, match=r"modules\.json"):
        find_model(str(tmp_path))


def test_a_hub_name_is_downloaded(copy):
    downloaded = []
    find_model("organisation/name", download=lambda name: downloaded.append(name) or str(copy))
    assert downloaded == ["organisation/name"]


def test_a_hub_that_cannot_be_reached_is_an_error_that_names_the_setting():
    with pytest.raises(ConfigurationError, match="TWOTOWER_ENCODER"):
        find_model("organisation/name")


def test_a_model_without_a_fast_tokenizer_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
