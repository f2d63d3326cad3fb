"""The card decides the encoder: two collections, two encoders, and no setting changed."""

import shutil

import pytest

from tests.conftest import HANDBOOK, CommandLine
from tests.integration.test_runtime import saved, transformer

QUESTION = "how do I report a lost security token"


@pytest.fixture(scope="module")
def other_encoder(model, tmp_path_factory):
    """A small encoder of another dimension, in a folder."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = tmp_path_factory.mktemp("encoders")
    network = transformer(folder / "network", model.path, seed=3)
    return saved([network, Pooling(32, "mean")], folder / "other")


@pytest.fixture(scope="module")
def line(zygote, model_cache, other_encoder, tmp_path_factory) -> CommandLine:
    """A command line with the collections `documents` and `small`, made by two encoders."""
    folder = tmp_path_factory.mktemp("two")
    line = CommandLine(zygote, model_cache, folder / "data", folder)
    assert line("ingest", HANDBOOK / "it").code == 0
    made = line(
        "ingest", HANDBOOK / "it", "--collection", "small",
        TWOTOWER_ENCODER=str(other_encoder.path),
    )  # fmt: skip
    assert made.code == 0, made.err
    return line


def test_both_are_searched_one_after_the_other_with_no_setting_changed(line):
    collections = {entry["name"]: entry for entry in line("status", "--json").json["collections"]}
    assert collections["documents"]["dimension"] == 384
    assert collections["small"]["dimension"] == 32
    for name in ("documents", "small", "documents"):
        done = line("search", QUESTION, "--collection", name, "--mode", "dense", "--json")
        assert done.code == 0, done.err
        assert done.json["hits"]


def test_a_collection_that_exists_is_ingested_into_with_its_own_encoder(line, tmp_path):
    (tmp_path / "new.md").write_text("# New\n\nA token was found in the canteen.\n")
    done = line("ingest", tmp_path, "--collection", "small")
    assert done.code == 0, done.err
    found = line("search", "token canteen", "--collection", "small", "--json").json["hits"]
    assert "new.md" in [hit["source"] for hit in found]


def test_reindexing_keeps_the_encoder_unless_one_is_named(line):
    done = line("reindex", "--collection", "small", "--json")
    assert done.json == {"name": "small", "changed": False}


def test_a_model_that_changed_is_refused_and_a_missing_one_is_named(
    line, other_encoder, model, tmp_path
):
    from sentence_transformers.sentence_transformer.modules import Pooling

    kept = tmp_path / "kept"
    shutil.move(other_encoder.path, kept)
    try:
        missing = line("search", QUESTION, "--collection", "small")
        assert missing.code == 2
        assert "which is not on this machine" in missing.err
        assert str(other_encoder.path) in missing.err
        assert line("search", "token", "--collection", "small", "--mode", "bm25").code == 0
        moved = line("search", QUESTION, "--collection", "small", TWOTOWER_ENCODER=str(kept))
        assert moved.code == 0, moved.err
        network = transformer(tmp_path / "network", model.path, seed=4)
        saved([network, Pooling(32, "mean")], other_encoder.path)
        changed = line("search", QUESTION, "--collection", "small")
        assert changed.code == 2
        assert "is a different one" in changed.err
        assert "twotower reindex" in changed.err
    finally:
        shutil.rmtree(other_encoder.path, ignore_errors=True)
        shutil.move(kept, other_encoder.path)


def test_a_name_on_a_card_downloads_nothing(line, model_cache, monkeypatch):
    """A hub name that only a card has is looked up in the local cache alone."""
    import huggingface_hub

    from twotower.app.models import ModelProvider
    from twotower.app.settings import load_settings
    from twotower.retrieval.index.card import EncoderCard
    from twotower.retrieval.vocabulary.errors import ConfigurationError

    asked = []

    def snapshot_download(name, **options):
        asked.append((name, options.get("local_files_only", False)))
        raise OSError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    settings = load_settings({}, cache_dir=model_cache.folder)
    card = EncoderCard("someone/model", "f" * 64, 384)
    with pytest.raises(ConfigurationError, match="not on this machine"):
        _ = ModelProvider(settings, 1).encoder(card).model
    assert asked == [("someone/model", True)]
    named = load_settings({}, cache_dir=model_cache.folder, encoder="someone/model")
    with pytest.raises(ConfigurationError, match="not on this machine"):
        _ = ModelProvider(named, 1).encoder(card).model
    assert asked[1:] == [("someone/model", True), ("someone/model", False)]
