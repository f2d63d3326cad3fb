import pytest

from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.training.recipe import names, read_recipe

WANTED = "dssm sbert dpr youtube-logq mns ance cbns distil matryoshka colbert splade reranker"


def written(folder, text: str) -> str:
    file = folder / "own.toml"
    file.write_text(f"about = 'mine'\n{text}")
    return str(file)


def test_every_recipe_of_the_literature_is_there_and_says_what_it_does():
    assert set(names()) == {*WANTED.split(), "multi-stage"}
    for name in names():
        recipe = read_recipe(name)
        assert recipe.name == name
        assert recipe.about
        assert recipe.paper


def test_a_stage_takes_what_it_does_not_set_from_the_top(tmp_path):
    recipe = read_recipe(
        written(
            tmp_path,
            "[training]\nbatch = 4\nsteps = 7\n[[stages]]\n[[stages]]\ntraining = {steps = 9}",
        )
    )
    assert [stage.training.steps for stage in recipe.stages] == [7, 9]
    assert [stage.training.batch for stage in recipe.stages] == [4, 4]
    assert [s.training.steps for s in read_recipe(str(tmp_path / "own.toml"), 2).stages] == [2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nkinds = 'dense'", "the key 'model.kinds' is unknown"),
        ("[[stages]]\n[stages.lossy]\nscale = 1", "the key 'lossy' is unknown"),
        ("[training]\nbatch = 'many'", "training.batch: .* not 'many'"),
        ("[loss]\nname = 'magic'", "loss.name: .* not 'magic'"),
        ("[loss]\nname = 'triplet'", "needs a negative of each question"),
        ("[loss]\nname = 'triplet'\n[negatives]\nbm25 = 2", "takes one negative"),
        ("[loss]\nlogq = true\ndirections = 2", "cannot be combined with loss.cached or two"),
        ("[loss]\nlogq = true\n[negatives]\nbm25 = 1", "loss.logq knows how often"),
        ("[loss]\ndimensions = [8]\n[negatives]\nbank = 9", "cannot be combined with loss.logq"),
        ("[negatives]\nuniform = 3", "multiple of training.batch"),
        ("[negatives]\nrefresh = 3", "needs negatives.mined"),
        ("[data]\nsources = {rumours = 1}", "data.sources are some of labels"),
        ("[model]\nkind = 'colbert'", "needs model.projection"),
        ("[model]\nkind = 'reranker'", "the loss of a reranker is pointwise"),
        ("[model]\nkind = 'splade'\n[negatives]\nmined = 1", "cannot mine negatives"),
        ("[model]\nkind = 'splade'\n[loss]\nlogq = true", "splade cannot be combined with logq"),
        ("[model]\nbase = 'dssm'\ntowers = 'separate'", "needs a dense model with a base"),
        ("[model", "cannot be read as TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        read_recipe(written(tmp_path, text))
    assert "\n" not in str(error.value).split("TOML")[0]


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(ConfigurationError, match="'bert' is unknown: choose one of ance, cbns"):
        read_recipe("bert")
