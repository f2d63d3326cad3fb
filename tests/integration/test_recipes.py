"""Every recipe trains a few steps, and says on questions held out what the model is worth."""

import json
import shutil

import pytest

from tests.tiny_models import tiny_encoder
from twotower.app.services import model_training
from twotower.app.services.ingestion import chunk_settings
from twotower.app.services.model_training import Reporter, train_model
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation import corpus
from twotower.evaluation.dataset import Document
from twotower.retrieval.legs import create_legs
from twotower.retrieval.vocabulary.documents import DocumentRecord
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra
from twotower.training.recipe import names, read_recipe

TOPICS = ("boats", "birds", "bread", "rivers", "tools", "stones", "songs", "roads")
PLACES = ("north", "south", "harbour", "valley", "market", "mill", "chapel", "bridge", "field")
DENSE = ("ance", "cbns", "distil", "dpr", "matryoshka", "mns", "multi-stage", "sbert")


@pytest.fixture(scope="module")
def small(model, tmp_path_factory):
    """A collection of 72 passages, encoded by a tiny model, with a question for each."""
    folder = tmp_path_factory.mktemp("small")
    tiny = tiny_encoder(folder, model.path)
    application = app_of(folder / "data", tiny.path)
    documents, questions, judged = [], [], ["query-id\tcorpus-id\tscore"]
    for topic in TOPICS:
        for place in PLACES:
            id = f"{topic}-{place}"
            text = (
                f"Old {topic} are kept near the {place} of the town. They were counted by hand "
                f"every year. Who counted the {topic} near the {place} in the first year of all? "
                "Nobody has written that down, and the books of the town do not say it."
            )
            documents.append(Document(id, f"{topic} of the {place}", text))
            questions.append({"_id": id, "text": f"which {topic} does the {place} have {len(id)}"})
            judged.append(f"{id}\t{id}\t1")
    (folder / "qrels").mkdir()
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
    settings = chunk_settings(application.settings, application.encoder().model)
    chunks = [c for d in documents for c in corpus.chunks_of(d, application.encoder(), settings)]
    legs = create_legs(("dense", "bm25"), application.models, [c.encoded_text for c in chunks])
    with corpus.write(
        chunks, legs, settings, lambda card: application.catalog.create("documents", card)
    ) as collection:
        for document in documents:
            count = sum(c.provenance.source == document.id for c in chunks)
            collection.write_document(
                DocumentRecord(document.id, "", document.title, document.id, 1, count, None, "")
            )
    return folder


def app_of(data_dir, encoder, **settings) -> Application:
    return Application(
        load_settings({}, data_dir=data_dir, encoder=str(encoder), runtime="torch", **settings)
    )


@pytest.fixture
def application(small):
    return app_of(small / "data", small / "tiny")


def short(name, **training):
    """A recipe of the program, with small batches and few steps."""
    recipe = read_recipe(name)
    stages = []
    for stage in recipe.stages:
        few = {"batch": 8, "steps": 6, "validate_every": 3, "precision": "fp32", **training}
        negatives = stage.negatives
        if negatives.uniform:
            negatives = negatives.model_copy(update={"uniform": 8})
        if negatives.refresh:
            negatives = negatives.model_copy(update={"refresh": 3})
        loss = stage.loss
        if loss.dimensions:
            loss = loss.model_copy(update={"dimensions": (32, 8)})
        if loss.name == "margin-mse":
            loss = loss.model_copy(update={"teacher": "teacher"})
        sources = {**stage.data.sources, "titles": 1.0, "sentences": 1.0}
        stages.append(
            stage.model_copy(
                update={
                    "training": stage.training.model_copy(update=few),
                    "negatives": negatives,
                    "loss": loss,
                    "data": stage.data.model_copy(update={"sources": sources}),
                }
            )
        )
    return recipe.model_copy(update={"stages": tuple(stages)})


@pytest.mark.parametrize("name", names())
def test_a_recipe_trains_a_model_that_the_program_can_use(
    name, small, application, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        model_training, "_teacher", lambda *_: lambda pairs: [len(q) / 9 for q, _ in pairs]
    )
    seen = {"steps": [], "costs": []}
    report = Reporter(
        plan=lambda plan: seen.update(plan=plan),
        cost=lambda stage, seconds: seen["costs"].append((stage, seconds)),
        step=lambda stage, step, _: seen["steps"].append((stage, step.number)),
    )
    recipe = short(name)
    done = train_model(application, "documents", recipe, small, tmp_path / "run", report)
    assert done.finished
    plan = seen["plan"]
    assert plan.questions == (29, 14, 29)
    assert plan.pairs["titles"] == len(TOPICS) * len(PLACES)
    assert bool(plan.negatives) == any(stage.negatives.bm25 for stage in recipe.stages)
    assert [stage for stage, _ in seen["costs"]] == list(range(1, len(recipe.stages) + 1))
    assert all(seconds > 0 for _, seconds in seen["costs"])
    assert (len(recipe.stages), 6) in seen["steps"]
    assert done.verdict.questions == 29
    assert {"hybrid"} < set(done.verdict.modes)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["verdict"]["questions"] == 29
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
    assert recipe.about in (tmp_path / "run" / "model" / "README.md").read_text()
    assert not (tmp_path / "run" / "trial").exists()
    with pytest.raises(ConfigurationError, match="is finished: name another folder with --run"):
        train_model(application, "documents", recipe, small, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "killed"), [("ance", True), ("cbns", True), ("cbns", False), ("dpr", False)]
)
def test_a_run_that_was_stopped_or_killed_ends_with_the_same_weights(
    name, killed, small, application, tmp_path
):
    from safetensors.numpy import load_file

    recipe = short(name)
    whole = train_model(application, "documents", recipe, small, tmp_path / "whole")
    count = 0

    def after_four_steps() -> bool:
        nonlocal count
        count += 1
        if killed and count >= 5:
            raise KeyboardInterrupt  # the last checkpoint is that of step 3
        return not killed and count >= 4

    parts = tmp_path / "parts"
    if killed:
        with pytest.raises(KeyboardInterrupt):
            train_model(
                application, "documents", recipe, small, parts, should_stop=after_four_steps
            )
        (parts / "stage-1" / "checkpoint-5").mkdir()  # what a kill leaves of the next one
    else:
        first = train_model(
            application, "documents", recipe, small, parts, should_stop=after_four_steps
        )
        assert not first.finished
    seen = {}
    report = Reporter(plan=lambda plan: seen.update(resumed=plan.resumed))
    second = train_model(application, "documents", recipe, small, parts, report)
    assert second.finished
    assert seen["resumed"]
    files = sorted(path.relative_to(whole.folder) for path in whole.folder.glob("model/**/*.safe*"))
    assert files
    for file in files:
        one, other = load_file(whole.folder / file), load_file(second.folder / file)
        assert one.keys() == other.keys()
        assert all((one[key] == other[key]).all() for key in one), file
    assert whole.verdict == second.verdict


def test_a_run_with_other_settings_is_not_continued(small, application, tmp_path):
    first = train_model(
        application, "documents", short("sbert"), small, tmp_path / "run", should_stop=lambda: True
    )
    assert not first.finished
    with pytest.raises(ConfigurationError, match=r"begun with other settings \(recipe\)"):
        train_model(
            application, "documents", short("sbert", learning_rate=1e-4), small, tmp_path / "run"
        )


def test_a_loss_that_is_not_a_number_stops_with_its_step(small, application, tmp_path):
    recipe = short("sbert", learning_rate=1e30)
    with pytest.raises(
        ConfigurationError, match=r"the loss is (nan|inf) at step \d+ \(batch \d+\)"
    ):
        train_model(application, "documents", recipe, small, tmp_path / "run")


def test_a_full_disk_is_said_before_a_checkpoint_is_written(
    small, application, tmp_path, monkeypatch
):
    from twotower.retrieval.vocabulary.errors import ServiceError
    from twotower.training import trainer

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(trainer.shutil, "disk_usage", lambda _: usage._replace(free=100 * 2**20))
    with pytest.raises(ServiceError, match="100 MB free, but a checkpoint takes"):
        train_model(application, "documents", short("sbert"), small, tmp_path / "run")


def test_too_few_pairs_say_how_many_are_needed(small, application, tmp_path):
    recipe = read_recipe("sbert")  # labels alone: 29 pairs
    with pytest.raises(ConfigurationError, match="too few pairs: 29 of at least 32 from labels"):
        train_model(application, "documents", recipe, small, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pairs_of_documents_held_out_are_left_out(small, application, tmp_path):
    recipe = short("sbert", steps=2)
    data = recipe.stages[0].data.model_copy(update={"split": "document"})
    stage = recipe.stages[0].model_copy(update={"data": data})
    seen = {}
    train_model(
        application,
        "documents",
        recipe.model_copy(update={"stages": (stage,)}),
        small,
        tmp_path / "run",
        Reporter(plan=lambda plan: seen.update(plan=plan)),
        should_stop=lambda: True,
    )
    plan = seen["plan"]
    assert plan.pairs["titles"] == plan.pairs["labels"] == 29
    assert plan.of_held_out_documents > 43


def test_a_trained_encoder_goes_live(twotower, small, application, tmp_path):
    done = train_model(application, "documents", short("sbert"), small, tmp_path / "run")
    shutil.copytree(small / "data", tmp_path / "data")
    environment = {"TWOTOWER_DATA_DIR": str(tmp_path / "data"), "TWOTOWER_RUNTIME": "torch"}
    model = done.folder / "model"
    changed = twotower("reindex", "--encoder", model, **environment)
    assert changed.code == 0, changed.err
    hit = twotower("search", "boats of the mill", "--json", **environment).json["hits"][0]
    assert hit["source"] == "boats-mill"
    assert twotower("rollback", **environment).code == 0


def test_the_command_lists_recipes_and_refuses_what_it_does_not_know(twotower, tmp_path):
    listed = twotower("train", "recipes")
    assert listed.code == 0
    assert set(names()) < set(listed.out.split())
    assert set(twotower("train", "recipes", "--json").json) == set(names())
    assert "the recipe 'bert' is unknown: choose one of ance" in twotower("train", "bert").err
    own = tmp_path / "own.toml"
    own.write_text("about = 'mine'\n[training]\nbatches = 3\n")
    wrong = twotower("train", own)
    assert wrong.code == 2
    assert wrong.err.strip().endswith("the key 'training.batches' is unknown")


def test_the_command_says_what_it_costs_and_how_to_use_the_model(twotower, small, tmp_path):
    shutil.copytree(small / "data", tmp_path / "data")
    environment = {
        "TWOTOWER_DATA_DIR": str(tmp_path / "data"),
        "TWOTOWER_RUNTIME": "torch",
        "TWOTOWER_ENCODER": str(small / "tiny"),
    }
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        "about = 'A short one'\n[data]\nsources = {labels = 1, titles = 1}\n"
        "[training]\nbatch = 8\nsteps = 4\nvalidate_every = 2\nprecision = 'fp32'\n"
    )
    arguments = ("train", recipe, "--queries", small, "--run", tmp_path / "run")
    done = twotower(*arguments, **environment)
    assert done.code == 0, done.err
    assert "29 to learn from, 14 for validation" in done.err
    assert "Stage 1 takes about" in done.err
    assert "step 4 of 4: loss" in done.err
    assert "29 questions held out, without and with the model" in done.out
    assert f"twotower reindex --collection documents --encoder '{tmp_path}/run/model'" in done.out
    assert "Traceback" not in done.err
    again = twotower(*arguments, **environment)
    assert again.code == 2
    assert "is finished: name another folder with --run" in again.err


def test_missing_packages_are_said_before_anything_is_read(small, application, monkeypatch):
    find = model_training.importlib.util.find_spec
    monkeypatch.setattr(
        model_training.importlib.util,
        "find_spec",
        lambda name: None if name == "accelerate" else find(name),
    )
    with pytest.raises(MissingExtra, match="needs the extra 'train'"):
        train_model(application, "documents", short("sbert"), small)
