"""What docs/extending.md shows takes one module and one line each, and works as it is written."""

import re

import pytest

from tests.conftest import ROOT
from twotower.retrieval.search.fusion import FUSIONS, Fusion
from twotower.retrieval.search.options import OPTIONS, SearchOptions
from twotower.retrieval.search.rerank import RERANKERS
from twotower.retrieval.vocabulary.errors import ConfigurationError

QUESTION = "lost security token"


def section(title: str) -> list[str]:
    """The Python blocks below a heading."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    body = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", body, re.DOTALL)


def registered(title: str, monkeypatch, registry_name: str, registry: dict, **names) -> None:
    """Run the module and the line of a section; the registry is as before after the test."""
    module, line = section(title)
    for key in re.findall(r'\["([^"]+)"\]', line):
        monkeypatch.setitem(registry, key, None)
    namespace = {"__name__": "example", registry_name: registry, **names}
    exec(compile(module, "docs/extending.md", "exec"), namespace)
    exec(compile(line, "docs/extending.md", "exec"), namespace)


@pytest.fixture
def retriever(application):
    with application.catalog.open("documents") as collection:
        yield application.retriever(collection)


def test_a_fusion(retriever, monkeypatch):
    registered("A fusion", monkeypatch, "FUSIONS", FUSIONS, Fusion=Fusion)
    assert "borda" in OPTIONS["fusion"].choices
    hits = retriever.retrieve(QUESTION, SearchOptions(fusion="borda"), explain=True).hits
    first = hits[0]
    points = sum(0.5 * (100 - (leg.rank - 1)) for leg in first.legs.values() if leg)
    assert first.fused == pytest.approx(points)
    assert [hit.fused for hit in hits] == sorted((hit.fused for hit in hits), reverse=True)


def test_a_reranker(retriever, monkeypatch):
    registered("A reranker", monkeypatch, "RERANKERS", RERANKERS)
    assert "shared-words" in OPTIONS["rerank"].choices
    options = SearchOptions(rerank="shared-words", rerank_weight=1.0)
    hits = retriever.retrieve(QUESTION, options).hits
    scores = [hit.reranked.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_a_name_that_is_not_registered_is_an_error(retriever):
    for option in ("fusion", "rerank"):
        with pytest.raises(ConfigurationError, match=f"the option {option} is 'shared-words'"):
            SearchOptions(**{option: "shared-words"})
