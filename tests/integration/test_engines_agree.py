"""The embedded engine and qdrant-client give the same answers, over all of the handbook."""

from dataclasses import replace

import pytest
from qdrant_client import QdrantClient

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.replicate import Replica, checksum
from twotower.retrieval.index.store.connection import Server
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.index.store.server import ServerStore
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.filters import parse_filters

QUESTIONS = [
    "security token has gone missing, who do I tell",
    "GK-118/d how tight",
    "guarantee of a KC-7 box in months",
    'what is "bolt torque"',
    "xyzzy",
]
FILTERS = ["", "type=pdf", "source=policies/**", "page=2..4", "modified>=2020-01-01", "folder!=hr"]
OPTIONS = {
    "hybrid": SearchOptions(limit=20),
    "dense": SearchOptions(mode="dense", limit=20),
    "bm25": SearchOptions(mode="bm25", limit=20),
    "minmax": SearchOptions(fusion="minmax", limit=20),
    "rrf": SearchOptions(fusion="rrf", limit=20),
    "dbsf": SearchOptions(fusion="dbsf", limit=20),
    "few": SearchOptions(per_document=1, limit=20, depth=30, expand=1),
    "moved": SearchOptions(feedback=3, limit=20),
    "diverse": SearchOptions(diversity=0.5, limit=20),
    "reranked": SearchOptions(rerank="late-interaction", rerank_depth=20, limit=20),
}


@pytest.fixture(scope="module")
def both(application):
    """Retrievers over the embedded collection, and over a copy in qdrant-client's local mode."""
    with application.catalog.open("documents") as embedded:
        card = embedded.card()
        server = Server(QdrantClient(":memory:"), "local mode")
        store = ServerStore.create(server, "copy", card.specs, StoreOptions())
        copy = Collection("copy", store)
        copy.write_card(card)

        class Opened:
            def __enter__(self):
                return embedded

            def __exit__(self, *_):
                pass

        assert Replica(Opened, copy).run()
        assert checksum(copy) == checksum(embedded)
        yield application.retriever(embedded), application.retriever(copy), embedded, copy
        server.client.close()


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("expression", FILTERS)
def test_every_way_to_search_gives_the_same_hits_and_scores(both, how, expression):
    first, second, *_ = both
    options = replace(OPTIONS[how], where=parse_filters([expression] if expression else []))
    for question in QUESTIONS:
        expected = first.retrieve(question, options).hits
        hits = second.retrieve(question, options).hits
        assert [hit.score for hit in hits] == pytest.approx([h.score for h in expected], abs=1e-4)
        scores = {hit.chunk.id: hit.score for hit in expected}
        for hit in hits:  # where scores are equal within the tolerance, places may be exchanged
            last = expected[-1].score
            assert hit.chunk.id in scores or hit.score == pytest.approx(last, abs=1e-4)
            if hit.chunk.id in scores:
                assert hit.score == pytest.approx(scores[hit.chunk.id], abs=1e-4)
        for one, other in zip(expected, hits, strict=True):
            if one.chunk.id == other.chunk.id:
                assert one.chunk == other.chunk
                assert (one.before, one.after) == (other.before, other.after)


def test_explanations_and_facets_are_the_same(both):
    first, second, embedded, copy = both
    for question in QUESTIONS[:3]:
        (one, *_), (other, *_) = (r.retrieve(question, explain=True).hits for r in (first, second))
        assert one.chunk == other.chunk
        for name, (weight, share) in one.explanation.parts.items():
            assert other.explanation.parts[name] == pytest.approx((weight, share), abs=1e-4)
        assert [t.term for t in one.explanation.terms] == [t.term for t in other.explanation.terms]
    for key in ("type", "folder", "page", "modified"):
        narrowed = parse_filters(["type=pdf"])
        assert embedded.facets(key, narrowed) == copy.facets(key, narrowed)
    assert embedded.chunk_counts() == copy.chunk_counts()
