import shutil
from dataclasses import replace

import numpy as np
import pytest

from retrieval.encoder import TorchEncoder, _has_bf16
from retrieval.errors import ConfigurationError

PASSAGES = ["The seal is made of viton.", "Holidays are booked in March. " * 90, "水泵"]


@pytest.fixture(scope="module")
def exact(model) -> TorchEncoder:
    return TorchEncoder(model, "fp32")


def test_vectors_are_unit_rows_in_order(exact):
    vectors = exact.encode_passages(PASSAGES)
    assert (vectors.shape, vectors.dtype) == ((3, exact.dimension), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    backwards = exact.encode_passages(PASSAGES[::-1])[::-1]
    assert np.abs(vectors - backwards).max() < 1e-5


def test_a_question_meets_its_passage(exact):
    question = exact.encode_questions(["what material are the seals"])
    scores = (exact.encode_passages(PASSAGES) @ question.T).ravel()
    assert scores.argmax() == 0


def test_what_lies_beyond_the_window_is_not_read(exact, model):
    long = "pump " * model.window
    one, other = exact.encode_passages([long, long + "and something else entirely"])
    assert np.abs(one - other).max() < 1e-6


def test_bf16_changes_next_to_nothing(exact, model):
    if not _has_bf16():
        pytest.skip("this processor does not compute in bf16: nothing to compare")
    vectors = TorchEncoder(model, "bf16").encode_passages(PASSAGES)
    assert (vectors * exact.encode_passages(PASSAGES)).sum(axis=1).min() > 0.996


def test_prompts_reach_their_tower_alone(exact, model):
    prompted = TorchEncoder(replace(model, question_prompt="query: "), "fp32")
    expected = exact.encode_questions(["query: seals"])
    assert np.abs(prompted.encode_questions(["seals"]) - expected).max() < 1e-5
    assert np.abs(prompted.encode_passages(["seals"]) - exact.encode_passages(["seals"])).max() == 0


def test_weights_that_cannot_be_loaded_are_one_clear_error(model, tmp_path):
    shutil.copytree(model.path, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    broken = replace(model, name="broken", path=tmp_path / "m")
    with pytest.raises(ConfigurationError, match="encoder broken in"):
        TorchEncoder(broken).encode_questions(["x"])
