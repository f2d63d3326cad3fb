"""Measuring a trained model: the live collection, and a copy that the model built."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from twotower.app.services.versions import wanted_build
from twotower.app.wiring import Application
from twotower.evaluation.dataset import Dataset
from twotower.evaluation.measure import DEPTH, Scores, run
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.replicate import Replica
from twotower.retrieval.legs import open_legs
from twotower.retrieval.search.options import HYBRID
from twotower.training.recipe import Kind
from twotower.training.verdict import Comparison, Verdict

_MEASURE = "ndcg@10"
_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model changes.

    Attributes
    ----------
    scores
        NDCG@10 of each question with the model, by mode.
    """

    verdict: Verdict
    scores: Mapping[str, Scores]


def measure(
    application: Application, name: str, kind: Kind, model: Path, dataset: Dataset, folder: Path
) -> Trial:
    """Compare searches with and without a model, on questions that it was not trained on.

    Parameters
    ----------
    folder
        Where the copy of the collection is built; it is removed afterwards.
    """
    with application.catalog.open(name, short_lived=True) as live:
        modes = [HYBRID, *(leg.name for leg in live.card().legs)]
        before = {mode: _scores(application, live, dataset, {"mode": mode}) for mode in modes}
        if kind == "reranker":
            with_model = _with(application, cross_encoder=str(model))
            options = {"mode": HYBRID, "rerank": "cross-encoder"}
            after = {
                HYBRID: _scores(with_model, live, dataset, options),
                "hybrid, cross-encoder alone": _scores(
                    with_model, live, dataset, {**options, "rerank_weight": 1.0}
                ),
            }
            before["hybrid, cross-encoder alone"] = before[HYBRID]
    if kind != "reranker":
        with built_with(application, name, kind, model, folder) as (with_model, copy):
            after = {m: _scores(with_model, copy, dataset, {"mode": m}) for m in modes}
            if kind != "dense":
                after[f"{kind} against dense"] = _scores(with_model, copy, dataset, {"mode": kind})
                before[f"{kind} against dense"] = before["dense"]
    compared = {mode: Comparison.of(before[mode], scores) for mode, scores in after.items()}
    return Trial(Verdict(compared, len(dataset.judged), repeats=1, parts=1), after)


@contextmanager
def built_with(
    application: Application, name: str, kind: Kind, model: Path, folder: Path
) -> Iterator[tuple[Application, Collection]]:
    """Build a copy of a collection with a model, for a while; the collection stays as it is."""

    def opens() -> AbstractContextManager[Collection]:
        return application.catalog.open(name, short_lived=True, wait=True)

    with opens() as live:
        card = live.card()
        texts = [chunk.encoded_text for chunk in live.chunks(live.some_ids(_SAMPLE))]
    names = [leg.name for leg in card.legs]
    if kind == "dense":
        with_model = _with(application, encoder=str(model), legs=tuple(names))
    else:
        legs = tuple(dict.fromkeys([*names, kind]))
        with_model = _with(application, legs=legs, **{kind: str(model)})
    wanted, changed = wanted_build(with_model, card, texts, name)
    catalog = application.local_catalog(folder)
    try:
        with catalog.draft(name, wanted) as draft:
            made = open_legs(draft.collection.card(), with_model.models)
            encode = {leg: made[leg].encode_passages for leg in changed}
            Replica(opens, draft.collection, encode).run()
            yield with_model, draft.collection
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with(application: Application, **settings: object) -> Application:
    return Application(application.settings.model_copy(update=settings))


def _scores(
    application: Application,
    collection: Collection,
    dataset: Dataset,
    options: Mapping[str, object],
) -> Scores:
    """NDCG@10 of each question."""
    retriever = application.retriever(collection, limit=DEPTH, **options)
    return run(retriever, dataset, retriever.options).scores[_MEASURE]
