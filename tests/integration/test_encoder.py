"""The two towers on both runtimes: the same contract and the same vectors."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.runtime import RuntimeOptions, load_encoder
from twotower.retrieval.models.runtime.openvino_runtime import OpenVinoEncoder, batches, has_bf16
from twotower.retrieval.models.runtime.torch_runtime import TorchEncoder
from twotower.retrieval.vocabulary.errors import ConfigurationError

PASSAGES = [
    "The seal is made of viton.",
    "Holidays are booked in March. " * 90,
    "水泵",
    "  KC-7/b\n\nÜnïcödé: 52 Nm  ",
    "pump",
]


def make(runtime, model, cache, **options) -> Encoder:
    encoder = load_encoder(model, cache, RuntimeOptions(runtime, **options))
    assert isinstance(encoder, OpenVinoEncoder if runtime == "openvino" else TorchEncoder)
    return encoder


@pytest.fixture(scope="module", params=["openvino", "torch"])
def exact(request, model, model_cache) -> Encoder:
    return make(request.param, model, model_cache, precision="fp32")


def test_vectors_are_unit_rows_in_order(exact):
    vectors = exact.encode_passages(PASSAGES)
    assert (vectors.shape, vectors.dtype) == ((len(PASSAGES), exact.dimension), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(PASSAGES)), abs=1e-5)
    backwards = exact.encode_passages(PASSAGES[::-1])[::-1]
    assert np.abs(vectors - backwards).max() < 1e-4
    assert exact.encode_questions([]).shape == (0, exact.dimension)


def test_the_passage_that_answers_a_question_has_the_highest_score(exact):
    question = exact.encode_questions(["what material are the seals"])
    scores = (exact.encode_passages(PASSAGES) @ question.T).ravel()
    assert scores.argmax() == 0


def test_text_beyond_the_window_is_ignored(exact, model):
    long = "pump " * model.window
    one, other = exact.encode_passages([long, long + "and something else entirely"])
    assert np.abs(one - other).max() < 1e-6


def test_token_vectors_are_unit_rows_without_special_tokens(exact):
    one, empty = exact.passage_tokens(["green dot", ""])
    assert (one.shape, empty.shape) == ((2, exact.dimension), (0, exact.dimension))
    assert np.linalg.norm(one, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert np.abs(exact.question_tokens("green dot") - one).max() < 1e-5


def test_bf16_vectors_are_close_to_fp32_vectors(exact, model, model_cache):
    if not has_bf16():
        pytest.skip("this processor does not compute in bf16, so there is nothing to compare")
    runtime = "torch" if isinstance(exact, TorchEncoder) else "openvino"
    vectors = make(runtime, model, model_cache, precision="bf16").encode_passages(PASSAGES)
    assert (vectors * exact.encode_passages(PASSAGES)).sum(axis=1).min() > 0.996


def test_both_runtimes_give_the_same_vectors(model, model_cache):
    openvino, torch = (
        make(runtime, model, model_cache, precision="fp32") for runtime in ("openvino", "torch")
    )
    passages = openvino.encode_passages(PASSAGES * 300)  # several batches at the same time
    expected = torch.encode_passages(PASSAGES)
    assert (passages.reshape(300, len(PASSAGES), -1) * expected).sum(axis=2).min() > 0.9999
    questions = openvino.encode_questions(PASSAGES) * torch.encode_questions(PASSAGES)
    assert questions.sum(axis=1).min() > 0.9999
    for a, b in zip(openvino.passage_tokens(PASSAGES), torch.passage_tokens(PASSAGES), strict=True):
        assert (a * b).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_prompt_changes_its_own_tower_only(runtime, model, model_cache):
    exact = make(runtime, model, model_cache, precision="fp32")
    question = replace(model, question_prompt="query: ")
    prompted = make(runtime, question, model_cache, precision="fp32")
    expected = exact.encode_questions(["query: seals"])
    assert np.abs(prompted.encode_questions(["seals"]) - expected).max() < 1e-5
    assert np.abs(prompted.encode_passages(["seals"]) - exact.encode_passages(["seals"])).max() == 0


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_weights_that_cannot_be_loaded_raise_a_configuration_error(
    runtime, model, model_cache, tmp_path
):
    shutil.copytree(model.path, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    broken = replace(model, name="broken", path=tmp_path / "m")
    with pytest.raises(ConfigurationError, match="encoder broken in"):
        make(runtime, broken, model_cache).encode_questions(["x"])


def test_batches_stay_within_the_budget_and_contain_every_text_once():
    lengths = [3, 500, 40, 40, 41, 1, 0]
    result = list(batches(lengths, 100))
    assert sorted(index for batch in result for index in batch) == list(range(len(lengths)))
    padded = [len(batch) * max(lengths[index] for index in batch) for batch in result[1:]]
    assert max(padded) <= 100
    assert result[0] == [1]
    assert list(batches([], 100)) == []


def test_a_question_does_not_wait_for_the_loading_of_the_passage_graph(
    model, model_cache, monkeypatch
):
    encoder = make("openvino", model, model_cache)
    encoder.encode_questions(["ready"])
    loading, may_continue = threading.Event(), threading.Event()
    load_graph = encoder.network._load_graph

    def load_slowly(*arguments):
        loading.set()
        may_continue.wait(60)
        return load_graph(*arguments)

    monkeypatch.setattr(encoder.network, "_load_graph", load_slowly)
    passages = []
    thread = threading.Thread(target=lambda: passages.append(encoder.encode_passages(["a seal"])))
    thread.start()
    assert loading.wait(60)
    assert encoder.encode_questions(["which seal?"]).shape == (1, encoder.dimension)
    assert passages == []
    may_continue.set()
    thread.join(60)
    assert passages[0].shape == (1, encoder.dimension)
