"""The two towers, on both runtimes: the same contract, and the same vectors."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from retrieval.encoder import Encoder
from retrieval.errors import ConfigurationError
from retrieval.runtime import RuntimeOptions, load_encoder
from retrieval.runtime.openvino_runtime import OpenVinoEncoder, batches, has_bf16
from retrieval.runtime.torch_runtime import TorchEncoder
from tests.conftest import silent

PASSAGES = [
    "The seal is made of viton.",
    "Holidays are booked in March. " * 90,
    "水泵",
    "  KC-7/b\n\nÜnïcödé: 52 Nm  ",
    "pump",
]


def make(runtime, model, cache, **options) -> Encoder:
    encoder = load_encoder(model, cache, RuntimeOptions(runtime, **options), silent)
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


def test_a_question_meets_its_passage(exact):
    question = exact.encode_questions(["what material are the seals"])
    scores = (exact.encode_passages(PASSAGES) @ question.T).ravel()
    assert scores.argmax() == 0


def test_what_lies_beyond_the_window_is_not_read(exact, model):
    long = "pump " * model.window
    one, other = exact.encode_passages([long, long + "and something else entirely"])
    assert np.abs(one - other).max() < 1e-6


def test_tokens_are_unit_rows_without_special_ones(exact):
    one, none = exact.passage_tokens(["green dot", ""])
    assert (one.shape, none.shape) == ((2, exact.dimension), (0, exact.dimension))
    assert np.linalg.norm(one, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert np.abs(exact.question_tokens("green dot") - one).max() < 1e-5


def test_bf16_changes_next_to_nothing(exact, model, model_cache):
    if not has_bf16():
        pytest.skip("this processor does not compute in bf16: nothing to compare")
    runtime = "torch" if isinstance(exact, TorchEncoder) else "openvino"
    vectors = make(runtime, model, model_cache, precision="bf16").encode_passages(PASSAGES)
    assert (vectors * exact.encode_passages(PASSAGES)).sum(axis=1).min() > 0.996


def test_both_runtimes_give_the_same_vectors(model, model_cache):
    ours, theirs = (
        make(runtime, model, model_cache, precision="fp32") for runtime in ("openvino", "torch")
    )
    passages = ours.encode_passages(PASSAGES * 300)  # several batches, in flight together
    expected = theirs.encode_passages(PASSAGES)
    assert (passages.reshape(300, len(PASSAGES), -1) * expected).sum(axis=2).min() > 0.9999
    questions = ours.encode_questions(PASSAGES) * theirs.encode_questions(PASSAGES)
    assert questions.sum(axis=1).min() > 0.9999
    for a, b in zip(ours.passage_tokens(PASSAGES), theirs.passage_tokens(PASSAGES), strict=True):
        assert (a * b).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_prompts_reach_their_tower_alone(runtime, model, model_cache):
    exact = make(runtime, model, model_cache, precision="fp32")
    question = replace(model, question_prompt="query: ")
    prompted = make(runtime, question, model_cache, precision="fp32")
    expected = exact.encode_questions(["query: seals"])
    assert np.abs(prompted.encode_questions(["seals"]) - expected).max() < 1e-5
    assert np.abs(prompted.encode_passages(["seals"]) - exact.encode_passages(["seals"])).max() == 0


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_weights_that_cannot_be_loaded_are_one_clear_error(runtime, model, model_cache, tmp_path):
    shutil.copytree(model.path, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    broken = replace(model, name="broken", path=tmp_path / "m")
    with pytest.raises(ConfigurationError, match="encoder broken in"):
        make(runtime, broken, model_cache).encode_questions(["x"])


def test_batches_hold_their_budget_and_every_text_once():
    lengths = [3, 500, 40, 40, 41, 1, 0]
    cut = list(batches(lengths, 100))
    assert sorted(place for batch in cut for place in batch) == list(range(len(lengths)))
    padded = [len(batch) * max(lengths[place] for place in batch) for batch in cut[1:]]
    assert max(padded) <= 100
    assert cut[0] == [1]
    assert list(batches([], 100)) == []


def test_a_question_does_not_wait_while_the_passages_network_is_loaded(
    model, model_cache, monkeypatch
):
    encoder = make("openvino", model, model_cache)
    encoder.encode_questions(["ready"])
    loading, goes_on = threading.Event(), threading.Event()
    load = encoder.network._compiled

    def slowly(*arguments):
        loading.set()
        goes_on.wait(60)
        return load(*arguments)

    monkeypatch.setattr(encoder.network, "_compiled", slowly)
    passages = []
    thread = threading.Thread(target=lambda: passages.append(encoder.encode_passages(["a seal"])))
    thread.start()
    assert loading.wait(60)
    assert encoder.encode_questions(["which seal?"]).shape == (1, encoder.dimension)
    assert passages == []
    goes_on.set()
    thread.join(60)
    assert passages[0].shape == (1, encoder.dimension)
