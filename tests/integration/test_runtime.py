"""Compilation of models, verified against torch, and the cache of compiled models."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock

from tests.tiny_models import saved, transformer
from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.models.runtime import RuntimeOptions, choose_runtime, load_encoder
from twotower.retrieval.models.runtime.cache import MANIFEST, ModelCache
from twotower.retrieval.models.runtime.openvino_runtime import OpenVinoEncoder
from twotower.retrieval.models.runtime.torch_runtime import TorchEncoder
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra

TEXTS = ["The seal is made of viton.", "pump " * 400, "KC-7/b", "  Ünïcödé\n\n "]
AUTO = RuntimeOptions(precision="fp32", threads=2)


@pytest.fixture(scope="module")
def tiny(model, tmp_path_factory) -> ModelFolder:
    """A small bi-encoder whose modules, prompts and window differ from those of the default one."""
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = tmp_path_factory.mktemp("models")
    network = transformer(folder / "network", model.path)
    modules = [network, Pooling(32, "cls"), Dense(32, 16)]
    prompts = {"query": "question: ", "document": "passage: "}
    return saved(modules, folder / "tiny", prompts=prompts)


def same_vectors(one, other) -> bool:
    passages = (one.encode_passages(TEXTS) * other.encode_passages(TEXTS)).sum(axis=1)
    questions = (one.encode_questions(TEXTS) * other.encode_questions(TEXTS)).sum(axis=1)
    return bool(min(passages.min(), questions.min()) > 0.999)


def test_the_compiled_model_has_modules_prompts_and_window_of_the_source(tiny, tmp_path):
    encoder = load_encoder(tiny, ModelCache(tmp_path), AUTO)
    assert isinstance(encoder, OpenVinoEncoder)
    assert encoder.dimension == 16
    assert same_vectors(encoder, TorchEncoder(tiny, "fp32"))
    assert not same_vectors(encoder, TorchEncoder(replace(tiny, question_prompt=""), "fp32"))


def test_a_model_with_two_separate_towers_is_compiled(model, tmp_path):
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Pooling

    towers = [
        [transformer(tmp_path / str(seed), model.path, seed), Pooling(32, "mean")]
        for seed in (1, 2)
    ]
    (tmp_path / "router").mkdir()
    routed = saved([Router.for_query_document(*towers)], tmp_path / "router")
    (routed.path / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    encoder = load_encoder(routed, ModelCache(tmp_path / "cache"), AUTO)
    assert isinstance(encoder, OpenVinoEncoder)
    assert same_vectors(encoder, TorchEncoder(routed, "fp32"))
    question, passage = encoder.encode_questions(["seal"]), encoder.encode_passages(["seal"])
    assert (question * passage).sum() < 0.9


def test_a_model_that_cannot_be_compiled_runs_on_torch_and_the_log_says_why(
    model, tmp_path, caplog
):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    words = saved([StaticEmbedding(tokenizer, embedding_dim=16)], tmp_path / "words")
    (words.path / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    cache = ModelCache(tmp_path / "cache")
    encoder = load_encoder(words, cache, AUTO)
    assert isinstance(encoder, TorchEncoder)
    assert encoder.encode_passages(TEXTS).shape == (4, 16)
    assert [line.split(" ")[0] for line in caplog.messages] == ["compiling", "words"]
    assert "torch runs it" in caplog.messages[1]
    caplog.clear()
    load_encoder(words, cache, AUTO)
    assert caplog.messages == []
    assert "cannot be compiled" in choose_runtime(words, cache, AUTO).reason
    with pytest.raises(ConfigurationError, match="TWOTOWER_RUNTIME=auto"):
        choose_runtime(words, cache, replace(AUTO, runtime="openvino"))


@pytest.mark.parametrize("damage", ["truncated", "foreign", "manifest", "missing"])
def test_a_damaged_model_in_the_cache_is_compiled_again(tiny, tmp_path, damage, caplog):
    cache = ModelCache(tmp_path)
    expected = load_encoder(tiny, cache, AUTO).encode_passages(TEXTS)
    folder = cache.path(tiny.fingerprint)
    weights = next(folder.glob("*.bin"))
    if damage == "truncated":
        os.truncate(weights, 1000)
    elif damage == "foreign":
        weights.write_bytes(bytes(weights.stat().st_size))
    elif damage == "manifest":
        (folder / MANIFEST).write_text("[1, 2")
    else:
        weights.unlink()
    caplog.clear()
    encoder = load_encoder(tiny, ModelCache(tmp_path), AUTO)
    assert len(caplog.messages) == 1
    assert np.abs(encoder.encode_passages(TEXTS) - expected).max() < 1e-6


def test_changed_weights_under_the_same_name_are_compiled_again(tiny, model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny.path, folder)
    cache = ModelCache(tmp_path / "cache")
    before = load_encoder(ModelFolder("m", folder, digests=cache.digests), cache, AUTO)
    old = before.encode_passages(TEXTS)
    other = transformer(tmp_path / "other", model.path, seed=7)
    other.save(str(tmp_path / "saved"))
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    shutil.copyfile(tmp_path / "saved" / "model.safetensors", weights)
    assert weights.stat().st_size == size
    changed = ModelFolder("m", folder, digests=ModelCache(tmp_path / "cache").digests)
    after = load_encoder(changed, cache, AUTO)
    assert np.abs(after.encode_passages(TEXTS) - old).max() > 0.1
    assert same_vectors(after, TorchEncoder(changed, "fp32"))


def test_torch_runs_a_model_if_the_cache_cannot_be_written_to(tiny, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    encoder = load_encoder(tiny, ModelCache(tmp_path / "file" / "cache"), AUTO)
    assert isinstance(encoder, TorchEncoder)
    assert "TWOTOWER_CACHE_DIR" in caplog.messages[-1]


def test_encoder_compile_reports_that_the_cache_cannot_be_written_to(tiny, twotower, tmp_path):
    (tmp_path / "file").write_text("")
    nowhere = {"TWOTOWER_CACHE_DIR": str(tmp_path / "file"), "TWOTOWER_RUNTIME": "auto"}
    done = twotower("encoder", "compile", tiny.path, **nowhere)
    assert done.code == 0
    assert done.out.endswith("runs on torch: the cache did not store it\n")
    assert "TWOTOWER_CACHE_DIR" in done.err


def test_a_full_disk_leaves_no_incomplete_files(tiny, tmp_path, monkeypatch, caplog):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    encoder = load_encoder(tiny, ModelCache(tmp_path), AUTO)
    assert isinstance(encoder, TorchEncoder)
    assert "No space left" in caplog.messages[-1]
    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_a_missing_or_broken_openvino_is_reported(tiny, tmp_path, monkeypatch):
    cache = ModelCache(tmp_path)
    load_encoder(tiny, cache, AUTO)

    def broken():
        raise RuntimeError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr("openvino.Core", broken)  # installed, but cannot be loaded
    with pytest.raises(ConfigurationError, match="TWOTOWER_RUNTIME=torch"):
        load_encoder(tiny, cache, AUTO).encode_questions(["x"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert choose_runtime(tiny, cache, AUTO).reason == "openvino is not installed"
    with pytest.raises(MissingExtra, match="pip install openvino"):
        choose_runtime(tiny, cache, replace(AUTO, runtime="openvino"))


def test_bf16_falls_back_to_fp32_if_the_processor_does_not_support_it(tiny, tmp_path, monkeypatch):
    cache = ModelCache(tmp_path)
    exact = load_encoder(tiny, cache, AUTO).encode_passages(TEXTS)
    monkeypatch.setattr(
        "twotower.retrieval.models.runtime.openvino_runtime.has_bf16", lambda: False
    )
    forced = load_encoder(tiny, cache, replace(AUTO, precision="bf16"))
    assert np.abs(forced.encode_passages(TEXTS) - exact).max() < 1e-6


def test_processes_that_compile_at_the_same_time_share_one_result(tiny, twotower, tmp_path):
    environment = twotower.environment | {
        "TWOTOWER_CACHE_DIR": str(tmp_path / "shared"),
        "TWOTOWER_RUNTIME": "openvino",
    }
    command = [sys.executable, "-m", "twotower", "encoder", "compile", str(tiny.path)]
    both = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert "is compiled in" in out
        assert "Traceback" not in err
    cache = ModelCache(tmp_path / "shared")
    assert cache.find(tiny.fingerprint)
    assert len(list((cache.folder / "models").glob("*/" + MANIFEST))) == 1


def test_gc_keeps_the_models_that_the_settings_name(tiny, twotower, model, tmp_path):
    shared = {"TWOTOWER_CACHE_DIR": str(tmp_path / "shared")}
    cache = ModelCache(tmp_path / "shared")
    load_encoder(tiny, cache, AUTO)
    kept = twotower("gc", **shared, TWOTOWER_ENCODER=str(tiny.path))
    assert kept.out == "removed 0 compiled models, 0.0 MB\n"
    with FileLock(
        cache.path(tiny.fingerprint).with_suffix(".lock")
    ):  # as a process that compiles it
        assert twotower("gc", **shared).out == "removed 0 compiled models, 0.0 MB\n"
    removed = twotower("gc", **shared)
    assert removed.out.startswith("removed 1 compiled models, ")
    assert cache.find(tiny.fingerprint) is None


def test_status_shows_the_runtime(tiny, twotower, tmp_path):
    before = twotower("status", "--json", TWOTOWER_CACHE_DIR=str(tmp_path), TWOTOWER_RUNTIME="auto")
    assert before.json["encoder"]["runtime"]["compiled"] is False
    shown = twotower("status", TWOTOWER_RUNTIME="torch", TWOTOWER_PRECISION="fp32").out
    assert "runtime         torch, passages in fp32, questions in fp32" in shown
    ready = twotower("status", "--json", TWOTOWER_RUNTIME="openvino").json["encoder"]["runtime"]
    assert (ready["name"], ready["compiled"]) == ("openvino", True)
    assert ready["precision"] in {"bf16", "fp32"}
    json.dumps(ready)
