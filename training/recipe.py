"""A recipe: one TOML file that says how a model is trained.

The tables ``model``, ``data``, ``negatives``, ``loss`` and ``training`` hold its settings. Each
table of ``stages`` is one stage of training, with the same tables; what it does not set is taken
from the top of the file. Without ``stages``, the recipe has one stage.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twotower.retrieval.vocabulary.errors import ConfigurationError

FOLDER = Path(__file__).parent / "recipes"
SOURCES = ("labels", "clicks", "titles", "headings", "sentences", "questions")

Kind = Literal["dense", "colbert", "splade", "reranker"]
LossName = Literal["softmax", "triplet", "bpr", "hinge", "nce", "margin-mse", "kl", "pointwise"]
_TABLES = ("data", "negatives", "loss", "training")
_DISTILLED = ("margin-mse", "kl")
_PAIRWISE = ("triplet", *_DISTILLED)  # losses that need a negative of each question
_DENSE_ONLY = ("triplet", "bpr", "hinge", "nce")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelTable(_Table):
    """The network.

    Attributes
    ----------
    kind
        ``dense``: one vector a text. ``colbert``: one vector a token. ``splade``: weights of the
        vocabulary's words. ``reranker``: a cross-encoder.
    base
        Model that training starts from, by name or folder; empty takes the encoder of the settings,
        and ``dssm`` makes a new tower of letter trigrams.
    towers
        ``shared`` weights, or ``separate`` networks for questions and passages.
    projection
        Dimension of a linear layer after the network; 0 adds none. ColBERT needs one.
    question_prompt, passage_prompt
        Text before each question and each passage.
    window
        Maximum number of tokens of a text in training (of a reranker: of a question and a passage
        together); 0 takes that of the model. The trained model reads as many as before.
    """

    kind: Kind = "dense"
    base: str = ""
    towers: Literal["shared", "separate"] = "shared"
    projection: Annotated[int, Field(ge=0)] = 0
    question_prompt: str = ""
    passage_prompt: str = ""
    window: Annotated[int, Field(ge=0)] = 128


class DataTable(_Table):
    """Where pairs come from.

    Attributes
    ----------
    sources
        Weight of each source: the chance that the next pair comes from it.
    split
        ``question``: questions held out are not trained on. ``document``: neither are their
        documents.
    """

    sources: Mapping[str, Annotated[float, Field(gt=0)]] = {"labels": 1.0, "clicks": 1.0}
    split: Literal["question", "document"] = "question"


class NegativesTable(_Table):
    """Negatives beside the other passages of the batch.

    Attributes
    ----------
    bm25, mined
        Number of negatives of each question from the collection's BM25 leg, or from the model that
        is trained.
    refresh
        Number of steps after which the negatives are mined again; 0 mines them once.
    margin
        A mined passage is a negative only if its score is at most this share of the score of the
        question's own passage.
    uniform
        Number of passages drawn uniformly from the collection, for each batch.
    bank
        Number of passage vectors of earlier batches that are negatives again.
    """

    bm25: Annotated[int, Field(ge=0, le=16)] = 0
    mined: Annotated[int, Field(ge=0, le=16)] = 0
    refresh: Annotated[int, Field(ge=0)] = 0
    margin: Annotated[float, Field(gt=0, le=1)] = 0.95
    uniform: Annotated[int, Field(ge=0)] = 0
    bank: Annotated[int, Field(ge=0)] = 0

    @property
    def each(self) -> int:
        """Number of negatives that belong to one question."""
        return self.bm25 + self.mined


class LossTable(_Table):
    """What is minimised.

    Attributes
    ----------
    scale
        Factor of the scores: the inverse of the temperature.
    directions
        1: question to passage. 2: also passage to question.
    logq
        Subtract the logarithm of the probability that a passage is in the batch.
    cached
        Number of texts of one forward pass, for batches that do not fit in memory; 0 is off.
    dimensions
        Prefixes of the vector that are trained as well (Matryoshka).
    teacher
        Cross-encoder whose scores are learned, by name or folder, with ``margin-mse`` and ``kl``.
        Empty takes the one in the settings.
    regularizer
        Weight of the number of words of a SPLADE passage; a tenth of it counts for questions.
    """

    name: LossName = "softmax"
    scale: Annotated[float, Field(gt=0)] = 20.0
    directions: Literal[1, 2] = 1
    logq: bool = False
    cached: Annotated[int, Field(ge=0)] = 0
    dimensions: tuple[Annotated[int, Field(ge=1)], ...] = ()
    teacher: str = ""
    regularizer: Annotated[float, Field(ge=0)] = 3e-3


class TrainingTable(_Table):
    """How long, and how fast.

    Attributes
    ----------
    batch
        Number of questions of one step.
    accumulate
        Number of batches whose gradients are added up for one step.
    warmup
        Share of the steps in which the learning rate rises.
    validate_every
        Number of steps between two measurements on the validation questions, and two checkpoints.
    patience
        Number of measurements without a gain after which training stops.
    precision
        ``auto`` takes bf16 where the processor computes in it.
    """

    batch: Annotated[int, Field(ge=2)] = 16
    steps: Annotated[int, Field(ge=1)] = 200
    accumulate: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    validate_every: Annotated[int, Field(ge=1)] = 50
    patience: Annotated[int, Field(ge=1)] = 3
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0


class Stage(_Table):
    """One stage of training."""

    data: DataTable = DataTable()
    negatives: NegativesTable = NegativesTable()
    loss: LossTable = LossTable()
    training: TrainingTable = TrainingTable()

    @property
    def is_distilled(self) -> bool:
        """Whether the labels of a batch are the scores of a teacher, and not passages."""
        return self.loss.name in _DISTILLED

    @model_validator(mode="after")
    def _possible(self) -> Self:
        loss, negatives = self.loss, self.negatives
        unknown = set(self.data.sources) - set(SOURCES)
        if unknown or not self.data.sources:
            raise ValueError(f"data.sources are some of {', '.join(SOURCES)}")
        if loss.name in _PAIRWISE and not negatives.each:
            raise ValueError(
                f"loss.name is {loss.name}, which needs a negative of each question: set "
                "negatives.bm25 or negatives.mined"
            )
        if (negatives.uniform or negatives.bank or loss.logq) and (
            loss.cached or loss.directions > 1
        ):
            raise ValueError(
                "negatives.uniform, negatives.bank and loss.logq cannot be combined with "
                "loss.cached or two directions"
            )
        if (negatives.uniform or negatives.bank) and loss.name in _PAIRWISE:
            raise ValueError(f"loss.name {loss.name} compares each question with its own negatives")
        if loss.name == "triplet" and negatives.each > 1:
            raise ValueError("loss.name triplet takes one negative of each question")
        if loss.logq and negatives.each:
            raise ValueError(
                "loss.logq knows how often a passage is in a batch, but not how often a search "
                "finds it: set negatives.bm25 and negatives.mined to 0"
            )
        if loss.dimensions and (loss.logq or negatives.bank or loss.name == "nce"):
            raise ValueError(
                "loss.dimensions cannot be combined with loss.logq, negatives.bank or the loss nce"
            )
        if negatives.uniform % self.training.batch:
            raise ValueError(
                f"negatives.uniform is a multiple of training.batch ({self.training.batch})"
            )
        if negatives.refresh and not negatives.mined:
            raise ValueError("negatives.refresh needs negatives.mined")
        return self


class Recipe(_Table):
    """A recipe; see the module.

    Attributes
    ----------
    name
        Name of its file.
    about
        What it does, in one line.
    paper
        Where it was published.
    """

    name: str
    about: str
    paper: str = ""
    model: ModelTable = ModelTable()
    stages: tuple[Stage, ...]

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        kind = self.model.kind
        for stage in self.stages:
            loss, negatives = stage.loss, stage.negatives
            own = loss.logq or negatives.uniform or negatives.bank or loss.dimensions
            if kind != "dense" and (own or loss.name in _DENSE_ONLY or self.model.base == "dssm"):
                raise ValueError(
                    f"model.kind {kind} cannot be combined with logq, uniform negatives, a bank, "
                    f"Matryoshka dimensions, the base dssm or the loss {loss.name}"
                )
            if (kind == "reranker") != (loss.name == "pointwise"):
                raise ValueError("the loss of a reranker is pointwise, and of no other kind")
            if kind == "reranker" and not negatives.each:
                raise ValueError("a reranker needs negatives.bm25 or negatives.mined")
            if negatives.mined and kind in ("reranker", "colbert", "splade"):
                raise ValueError(f"model.kind {kind} cannot mine negatives: set negatives.bm25")
        if kind == "colbert" and not self.model.projection:
            raise ValueError("model.kind colbert needs model.projection")
        if self.model.towers == "separate" and (kind != "dense" or self.model.base == "dssm"):
            raise ValueError("model.towers separate needs a dense model with a base")
        return self


def names() -> list[str]:
    """Return the names of the recipes that come with the program."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def read_recipe(name: str, steps: int | None = None) -> Recipe:
    """Read a recipe of the program by its name, or a file.

    Parameters
    ----------
    steps
        Number of steps of each stage in place of the recipe's.

    Raises
    ------
    ConfigurationError
        If there is none of this name, or it has an unknown key, a value of the wrong type or an
        impossible combination.
    """
    file = FOLDER / f"{name}.toml"
    if not file.is_file():
        file = Path(name).expanduser()
    if not file.is_file():
        raise ConfigurationError(
            f"the recipe '{name}' is unknown: choose one of {', '.join(names())}, or name a file"
        )
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read as TOML: {error}") from error
    try:
        return Recipe.model_validate({"name": file.stem, **_with_stages(content, steps)})
    except ValidationError as error:
        raise ConfigurationError(f"recipe {file}: {_first(error)}") from error


def _with_stages(content: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
    top = {name: content[name] for name in _TABLES if name in content}
    stages = []
    for stage in content.get("stages", [{}]):
        unknown = set(stage) - set(_TABLES)
        merged = {name: {**top.get(name, {}), **stage.get(name, {})} for name in _TABLES}
        if steps:
            merged["training"]["steps"] = steps
        stages.append({**merged, **{name: stage[name] for name in unknown}})
    rest = {name: value for name, value in content.items() if name not in (*_TABLES, "stages")}
    return {**rest, "stages": stages}


def _first(error: ValidationError) -> str:
    """Say the first error in one line: the place, what was found, and what is allowed."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("stages", 0))
    if first["type"] == "extra_forbidden":
        return f"the key '{place}' is unknown"
    message = first["msg"].removeprefix("Value error, ")
    found = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return f"{place}: {message}{found}" if place else message
