"""The rerankers with real networks: the encoder's own tokens, and a cross-encoder built here."""

import numpy as np
import pytest

from tests.unit.retrieval.search.test_retriever import TEXTS, make_chunk
from twotower.retrieval.models.model_folder import ModelFolder, find_model
from twotower.retrieval.models.runtime import RuntimeOptions, load_pair_scorer
from twotower.retrieval.models.runtime.cache import ModelCache
from twotower.retrieval.models.runtime.torch_runtime import TorchPairScorer
from twotower.retrieval.search.rerank.cross_encoder import CrossEncoder
from twotower.retrieval.search.rerank.late_interaction import LateInteraction
from twotower.retrieval.vocabulary.errors import ConfigurationError

CHUNKS = [make_chunk(text, place) for place, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def cross_encoder_folder(tmp_path_factory, model):
    """Two random layers over the default encoder's vocabulary, saved as such a model is."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape["initializer_range"] = 0.5  # or all pairs have nearly the same score
    config = BertConfig(vocab_size=30522, intermediate_size=64, num_labels=1, **shape)
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model.path).save_pretrained(folder)
    return folder


def test_late_interaction_is_the_mean_of_the_best_matches(application):
    encoder = application.encoder()
    question = "which seals are on the flange"
    scores = LateInteraction(encoder).scores(question, CHUNKS)
    tokens = encoder.question_tokens(question)
    expected = [
        float((tokens @ passage.T).max(axis=1).mean()) for passage in encoder.passage_tokens(TEXTS)
    ]
    assert scores == pytest.approx(expected, abs=2e-3)  # kept in half precision
    assert int(np.argmax(scores)) == 2


def test_token_vectors_are_kept_within_their_memory(application):
    encoder = application.encoder()

    class Counting:
        passages = 0

        def question_tokens(self, text):
            return encoder.question_tokens(text)

        def passage_tokens(self, texts):
            self.passages += len(texts)
            return encoder.passage_tokens(texts)

    counting = Counting()
    kept = LateInteraction(counting)
    first = kept.scores("flange", CHUNKS)
    assert kept.scores("flange", CHUNKS) == first
    assert counting.passages == len(CHUNKS)
    small = LateInteraction(counting, cache_bytes=1)
    assert small.scores("flange", CHUNKS) == first
    assert small.scores("flange", CHUNKS[:1]) == pytest.approx(first[:1])
    assert counting.passages == 2 * len(CHUNKS) + 1


def test_a_passage_or_a_question_without_tokens_has_a_score(application):
    reranker = LateInteraction(application.encoder())
    assert reranker.scores("flange", [make_chunk("", 0)]) == [0.0]
    assert reranker.scores("", CHUNKS) == [0.0] * len(CHUNKS)
    assert reranker.scores("flange", []) == []


@pytest.fixture(params=["openvino", "torch"])
def pair_scorer(request, cross_encoder_folder, tmp_path):
    tiny = ModelFolder("tiny", cross_encoder_folder)
    options = RuntimeOptions(request.param, precision="fp32")
    scorer = load_pair_scorer(tiny, ModelCache(tmp_path), options)
    assert isinstance(scorer, TorchPairScorer) == (request.param == "torch")
    return scorer


def test_a_cross_encoder_scores_pairs(pair_scorer, cross_encoder_folder):
    reranker = CrossEncoder(pair_scorer)
    scores = reranker.scores("flange", CHUNKS)
    assert len(set(scores)) == len(CHUNKS)
    assert np.isfinite(scores).all()
    assert reranker.scores("flange", CHUNKS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)
    theirs = TorchPairScorer(ModelFolder("tiny", cross_encoder_folder))
    expected = theirs.score([("flange", chunk.encoded_text) for chunk in CHUNKS])
    assert scores == pytest.approx(expected.tolist(), abs=5e-3)
    assert reranker.scores("flange", []) == []


def test_a_cross_encoder_that_is_nowhere_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cross-encoder 'no/such' .*_CROSS_ENCODER"):
        find_model("no/such", role="cross-encoder", marker="config.json")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        TorchPairScorer(ModelFolder("broken", tmp_path)).score([("flange", "bolt")])


def test_search_with_each_reranker(handbook, cross_encoder_folder):
    question = "guarantee of a KC-7 box in months"
    for rerank in ("late-interaction", "cross-encoder"):
        done = handbook(
            "search", question, "--rerank", rerank, "--rerank-depth", 12, "--explain", "--json",
            TWOTOWER_CROSS_ENCODER=str(cross_encoder_folder),
        )  # fmt: skip
        assert done.code == 0, done.err
        hits = done.json["hits"]
        assert done.json["rerank"] == rerank
        assert all(hit["reranked"] for hit in hits)
        assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)
    nowhere = handbook("search", question, "--rerank", "cross-encoder")
    assert nowhere.code == 2
    assert nowhere.err.count("\n") == 1
    assert "TWOTOWER_CROSS_ENCODER" in nowhere.err
