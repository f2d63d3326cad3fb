"""What every `Store` does; one suite over each implementation."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient

from twotower.retrieval.index.store.connection import Address, Server
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.protocol import (
    Point,
    Store,
    StoreOptions,
    VectorQuery,
    VectorSpec,
)
from twotower.retrieval.index.store.server import ServerStore
from twotower.retrieval.vocabulary.errors import ServiceError
from twotower.retrieval.vocabulary.filters import Condition, Filter, where
from twotower.retrieval.vocabulary.vectors import SparseVector

VECTORS = [
    VectorSpec("dense", "dense", 4),
    VectorSpec("bm25", "sparse"),
    VectorSpec("tokens", "multi", 2),
    VectorSpec("weights", "weighted"),
    VectorSpec("prefix", "dense", 2),
]
SERVER = os.environ.get("TWOTOWER_TEST_QDRANT_URL")  # `make test-server` wants it
# What qdrant-client's local mode cannot do, so that only a real server shows it: payload indexes
# (it filters by looking at every payload), quantization and on-disk vectors (taken and ignored),
# HNSW, shards and replicas, aliases that another process sees, and what a network does.
STORES = ["edge", "memory", *(["server"] if SERVER else [])]


def made(kind: str, folder: Path, options: StoreOptions) -> Iterator[Store]:
    if kind == "edge":
        store = EdgeStore(folder / "store", VECTORS, options)
        yield store
        store.close()
        return
    if kind == "memory":
        server = Server(QdrantClient(":memory:"), "local mode")
    else:
        key = os.environ.get("TWOTOWER_TEST_QDRANT_API_KEY", "")
        server = Server(Address(SERVER, key).connect(), SERVER)
        server.check()
    name = f"twotower-test-{uuid4().hex}"
    yield ServerStore.create(server, name, VECTORS, options)
    server.client.delete_collection(name)
    server.client.close()


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    yield from made(request.param, tmp_path, StoreOptions())


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def point(number: int, dense=None, bm25=None, **payload) -> Point:
    vectors = {"dense": dense, "bm25": bm25}
    given = {name: vector for name, vector in vectors.items() if vector is not None}
    return Point(UUID(int=number), {"kind": "chunk", **payload}, given)


def by_meaning(vector, *where: Filter) -> VectorQuery:
    return VectorQuery("dense", vector, *where)


def by_words(vector, *where: Filter) -> VectorQuery:
    return VectorQuery("bm25", vector, *where)


def test_what_is_written_is_read_back(store):
    payload = {"kind": "chunk", "text": "ä\n☃", "page": None, "headings": ["a", "b"], "n": 3}
    store.upsert([Point(UUID(int=1), payload, {"dense": unit(1, 0, 0, 0)})])
    assert store.retrieve([UUID(int=1), UUID(int=2)]) == {UUID(int=1): payload}


def test_several_queries_are_ranked_in_one_batch(store):
    store.upsert(
        [
            point(1, unit(1, 0, 0, 0), SparseVector((7,), (1.0,))),
            point(2, unit(1, 1, 0, 0), SparseVector((7, 9), (1.0, 2.0))),
            point(3, unit(0, 0, 1, 0), SparseVector((11,), (1.0,))),
        ]
    )
    dense, bm25 = store.search(
        [by_meaning(unit(1, 0, 0, 0)), by_words(SparseVector((7, 9), (1.0, 1.0)))], limit=2
    )
    assert [item.id.int for item in dense] == [1, 2]
    assert [item.score for item in dense] == pytest.approx([1.0, 0.5**0.5], abs=1e-4)
    assert [item.id.int for item in bm25] == [2, 1]


def test_rare_terms_weigh_more(store):
    """The modifier is ln(1 + (N - n + 0.5) / (n + 0.5)) over the points that have the vector."""
    store.upsert([point(n, None, SparseVector((7, 100 + n), (1.0, 1.0))) for n in range(1, 6)])
    store.upsert([Point(UUID(int=99), {"kind": "document"})])
    (ranking,) = store.search([by_words(SparseVector((103,), (1.0,)))], limit=5)
    assert [item.id.int for item in ranking] == [3]
    assert ranking[0].score == pytest.approx(np.log(1 + (5 - 1 + 0.5) / (1 + 0.5)), rel=1e-4)


def test_equal_scores_are_ordered_by_id(store):
    store.upsert([point(n, unit(1, 0, 0, 0)) for n in (5, 2, 9, 1)])
    (ranking,) = store.search([by_meaning(unit(1, 0, 0, 0))], limit=10)
    assert [item.id.int for item in ranking] == [1, 2, 5, 9]


def test_no_search_returns_a_point_without_vectors(store):
    store.upsert([Point(UUID(int=1), {"kind": "document"})])
    legs = [by_meaning(unit(1, 0, 0, 0)), by_words(SparseVector((7,), (1.0,)))]
    assert store.search(legs, limit=5) == [[], []]


def test_an_empty_sparse_query_finds_nothing(store):
    store.upsert([point(1, unit(1, 0, 0, 0), SparseVector((7,), (1.0,)))])
    assert store.search([by_words(SparseVector((), ()))], limit=5) == [[]]


def test_scroll_and_count_follow_the_filter_over_many_pages(store):
    store.upsert([point(n, source=f"{n % 2}.md") for n in range(2500)])
    store.upsert([Point(UUID(int=9999), {"kind": "document", "source": "1.md"})])
    wanted = where(kind="chunk", source="1.md")
    assert {id.int for id, _ in store.scroll(wanted)} == set(range(1, 2500, 2))
    assert store.count(wanted) == 1250
    assert store.count(where(kind="document")) == 1


def test_an_upsert_replaces_the_whole_point(store):
    store.upsert([point(1, unit(1, 0, 0, 0), text="old", extra=1)])
    store.upsert([point(1, unit(0, 1, 0, 0), text="new")])
    assert store.retrieve([UUID(int=1)]) == {UUID(int=1): {"kind": "chunk", "text": "new"}}
    (ranking,) = store.search([by_meaning(unit(0, 1, 0, 0))], limit=1)
    assert ranking[0].score == pytest.approx(1.0, abs=1e-4)


def test_a_payload_is_replaced_and_the_vectors_stay(store):
    store.upsert([point(1, unit(1, 0, 0, 0), text="old", extra=1)])
    store.overwrite_payloads({UUID(int=1): {"kind": "chunk", "text": "new"}})
    assert store.retrieve([UUID(int=1)]) == {UUID(int=1): {"kind": "chunk", "text": "new"}}
    (ranking,) = store.search([by_meaning(unit(1, 0, 0, 0))], limit=1)
    assert [item.id.int for item in ranking] == [1]


def test_delete_removes_points_and_ignores_unknown_ids(store):
    store.upsert([point(1, unit(1, 0, 0, 0)), point(2, unit(1, 0, 0, 0))])
    store.delete([UUID(int=1), UUID(int=77)])
    assert set(store.retrieve([UUID(int=1), UUID(int=2)])) == {UUID(int=2)}
    (ranking,) = store.search([by_meaning(unit(1, 0, 0, 0))], limit=5)
    assert [item.id.int for item in ranking] == [2]


def test_a_vector_of_another_dimension_is_a_service_error(store):
    with pytest.raises(ServiceError, match="dim"):
        store.upsert([Point(UUID(int=1), {}, {"dense": np.ones(3, dtype=np.float32)})])


@pytest.fixture
def filled(store):
    """Four points whose payloads differ in what can be filtered on, and whose vectors do not."""
    rows = [
        {"source": "policies/hr/leave.md", "folder": ["policies/hr", "policies"], "page": 1},
        {"source": "policies/travel.pdf", "folder": ["policies"], "page": 2},
        {"source": "products/kc-7.pdf", "folder": ["products"], "page": 3},
        {"source": "notes.md", "folder": [], "page": None},
    ]
    more = [
        {"modified": "2024-03-01T10:00:00+00:00", "meta": {"author": "Ann", "year": 2024}},
        {"modified": "2024-06-01T10:00:00+00:00", "meta": {"author": "Bo", "rate": 1.5}},
        {"modified": "2025-01-31T10:00:00+00:00", "meta": {"due": "2025-03-01", "a-b": ["x", "y"]}},
        {"modified": "2025-02-01T10:00:00+00:00", "meta": {}},
    ]
    texts = ["The Quick\nbrown fox", "brown quick", "part XK-2041/b, new", "XK 2041 c"]
    store.upsert(
        [
            point(n, unit(1, n, 0, 0), SparseVector((7,), (1.0 + n,)), text=text, **row, **rest)
            for n, (row, rest, text) in enumerate(zip(rows, more, texts, strict=True), start=1)
        ]
    )
    for key in ("author", "a-b", "due"):
        store.index(f"meta.{key}", "keyword")
        store.index(f"meta.{key}", "keyword")
    store.index("meta.year", "integer")
    store.index("meta.rate", "float")
    return store


FILTERS = [
    (Condition("type", ("pdf",)), set()),  # no point says its type
    (Condition("source", ("notes.md", "policies/travel.pdf")), {2, 4}),
    (Condition("source", prefixes=("policies/",)), {1, 2}),
    (Condition("source", ("notes.md",), ("policies/",), negated=True), {3}),
    (Condition("folder", ("policies",)), {1, 2}),
    (Condition("page", (3,)), {3}),
    (Condition("page", range=(("gte", 2), ("lt", 3))), {2}),
    (Condition("page", range=(("gt", 1),), negated=True), {1, 4}),
    (Condition("modified", range=(("gte", "2025-01-01T00:00:00+00:00"),)), {3, 4}),
    (Condition("modified", range=(("lt", "2024-06-01T00:00:00+00:00"),)), {1}),
    (Condition("text", phrase="quick brown"), {1}),
    (Condition("text", phrase="xk-2041/b"), {3}),
    (Condition("meta.author", ("Ann",)), {1}),
    (Condition("meta.author", ("Ann",), negated=True), {2, 3, 4}),
    (Condition("meta.year", ("2024", 2024)), {1}),
    (Condition("meta.rate", ("1.5",), (), (("gte", 1.5), ("lte", 1.5))), {2}),
    (Condition("meta.a-b", ("y",)), {3}),
    (Condition("meta.due", range=(("gt", "2025-02-01T00:00:00+00:00"),)), {3}),
    (Condition("meta.missing", ("x",)), set()),
]


@pytest.mark.parametrize(("condition", "expected"), FILTERS)
def test_searches_scroll_and_count_obey_a_filter(filled, condition, expected):
    wanted = Filter((condition,))
    legs = [
        by_meaning(unit(1, 0, 0, 0), wanted),
        by_words(SparseVector((7,), (1.0,)), wanted),
    ]
    found = [{item.id.int for item in ranking} for ranking in filled.search(legs, limit=9)]
    assert found == [expected, expected]
    assert {id.int for id, _ in filled.scroll(wanted)} == expected
    assert filled.count(wanted) == len(expected)


def test_all_conditions_must_hold_and_ids_narrow_further(filled):
    conditions = (Condition("folder", ("policies",)), Condition("page", range=(("gte", 2),)))
    assert {id.int for id, _ in filled.scroll(Filter(conditions))} == {2}
    ids = (UUID(int=2), UUID(int=4))
    assert {id.int for id, _ in filled.scroll(Filter(ids=ids))} == {2, 4}
    assert filled.count(Filter(ids=())) == 0


def test_facets_count_within_a_filter(filled):
    assert filled.count_by("folder", Filter()) == {"policies": 2, "policies/hr": 1, "products": 1}
    narrowed = Filter((Condition("page", range=(("lte", 1),)),))
    assert filled.count_by("folder", narrowed) == {"policies": 1, "policies/hr": 1}
    assert filled.count_by("meta.author", Filter()) == {"Ann": 1, "Bo": 1}


def test_idf_is_that_of_the_search_whatever_the_filter(store):
    store.upsert([point(n, None, SparseVector((7, 100 + n), (0.5, 2.0))) for n in range(1, 6)])
    rare = np.log(1 + (5 - 1 + 0.5) / (1 + 0.5))
    common = np.log(1 + (5 - 5 + 0.5) / (5 + 0.5))
    assert store.idf("bm25", [7, 103, 999]) == pytest.approx({7: common, 103: rare}, rel=1e-4)
    assert store.idf("bm25", []) == {}
    only = Filter(ids=(UUID(int=3),))
    (ranking,) = store.search([by_words(SparseVector((103,), (1.0,)), only)], limit=5)
    assert ranking[0].score == pytest.approx(2.0 * rare, rel=1e-4)


def test_vectors_are_read_back_by_name(store):
    rows = np.array([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]], dtype=np.float32)
    store.upsert(
        [
            point(1, unit(1, 1, 0, 0), SparseVector((9, 7), (2.0, 1.0))),
            Point(UUID(int=2), {"kind": "chunk"}, {"tokens": rows}),
            point(3),
        ]
    )
    ids = [UUID(int=n) for n in range(1, 5)]
    dense, sparse, multi = (store.vectors(spec.name, ids) for spec in VECTORS[:3])
    assert [set(found) for found in (dense, sparse, multi)] == [{ids[0]}, {ids[0]}, {ids[1]}]
    assert (dense[ids[0]].dtype, multi[ids[1]].dtype) == (np.float32, np.float32)
    assert dense[ids[0]] == pytest.approx(unit(1, 1, 0, 0))
    assert multi[ids[1]] == pytest.approx(rows)
    terms = sparse[ids[0]]
    assert dict(zip(terms.indices, terms.values, strict=True)) == {7: 1.0, 9: 2.0}


def test_multi_vectors_are_ranked_by_maxsim(store):
    """For each row of the query, the largest cosine with a row of the point; their sum."""
    rng = np.random.default_rng(0)
    stored = [rng.standard_normal((n + 1, 2)).astype(np.float32) for n in range(4)]
    stored = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in stored]
    store.upsert(
        [Point(UUID(int=n), {"kind": "chunk"}, {"tokens": rows}) for n, rows in enumerate(stored)]
    )
    query = np.stack([unit(1, 0), unit(1, 2), unit(-1, 1)])
    expected = {UUID(int=n): (query @ rows.T).max(axis=1).sum() for n, rows in enumerate(stored)}
    (ranking,) = store.search([VectorQuery("tokens", query)], limit=9)
    assert {item.id: item.score for item in ranking} == pytest.approx(expected, abs=1e-4)
    only = Filter(ids=(UUID(int=2),))
    (filtered,) = store.search([VectorQuery("tokens", query, only)], limit=9)
    assert [item.id for item in filtered] == [UUID(int=2)]


@pytest.mark.parametrize("name", ["dense", "tokens"])
def test_a_vector_that_is_not_finite_is_refused(store, name):
    vector = np.array([1, 0, 0, np.nan], dtype=np.float32)
    vector = vector.reshape(2, 2) if name == "tokens" else vector
    with pytest.raises(ValueError, match="not finite"):
        store.upsert([Point(UUID(int=1), {}, {name: vector})])
    with pytest.raises(ValueError, match="not finite"):
        store.search([VectorQuery(name, vector)], limit=1)


def test_an_unknown_vector_name_is_a_service_error(store):
    with pytest.raises(ServiceError):
        store.upsert([Point(UUID(int=1), {"kind": "chunk"}, {"nope": unit(1, 0, 0, 0)})])
    with pytest.raises(ServiceError):
        store.search([VectorQuery("nope", unit(1, 0, 0, 0))], limit=1)


@pytest.mark.parametrize("quantization", ["int8", "turbo"])
def test_every_layout_takes_all_kinds_of_vectors(tmp_path, quantization):
    for store in made("edge", tmp_path, StoreOptions(quantization=quantization, on_disk=True)):
        tokens = np.stack([unit(1, 0), unit(0, 1)])
        vectors = {
            "dense": unit(1, 0, 0, 0),
            "bm25": SparseVector((7,), (1.0,)),
            "tokens": tokens,
        }
        store.upsert([Point(UUID(int=1), {"kind": "chunk"}, vectors)])
        queries = [VectorQuery(name, vector) for name, vector in vectors.items()]
        assert [[item.id.int for item in r] for r in store.search(queries, 5)] == [[1], [1], [1]]


def test_weights_of_terms_are_multiplied_as_they_are(store):
    rare, common = SparseVector((7,), (2.0,)), SparseVector((8,), (2.0,))
    store.upsert(
        [
            Point(UUID(int=1), {"kind": "chunk"}, {"weights": rare}),
            *(Point(UUID(int=n), {"kind": "chunk"}, {"weights": common}) for n in range(2, 9)),
        ]
    )
    query = SparseVector((7, 8), (0.5, 1.0))
    (found,) = store.search([VectorQuery("weights", query)], 9)
    assert [item.id.int for item in found] == [*range(2, 9), 1]
    assert [item.score for item in found] == [2.0] * 7 + [1.0]
    (alone,) = store.search([VectorQuery("weights", query, Filter(ids=(UUID(int=1),)))], 3)
    assert [item.score for item in alone] == [1.0]


def test_one_search_scores_the_best_points_of_another(store):
    store.upsert(
        [
            Point(
                UUID(int=n),
                {"kind": "chunk", "source": "even" if n % 2 == 0 else "odd"},
                {"dense": unit(1, n, 0, 9 - n), "prefix": unit(1, n)},
            )
            for n in range(9)
        ]
    )
    whole = VectorQuery("dense", unit(1, 0, 0, 1))
    (all_of_them,) = store.search([whole], 9)
    first = VectorQuery("prefix", unit(1, 0))
    (two_each,) = store.search([VectorQuery(whole.name, whole.vector, among=(first, 2))], 2)
    among = {0, 1, 2, 3}  # the four best by the prefix
    expected = [item for item in all_of_them if item.id.int in among][:2]
    assert [item.id for item in two_each] == [item.id for item in expected]
    assert [i.score for i in two_each] == pytest.approx([i.score for i in expected], abs=1e-6)
    odd = where(source="odd")
    (narrowed,) = store.search([VectorQuery(whole.name, whole.vector, odd, (first, 1))], 2)
    assert {item.id.int for item in narrowed} == {1, 3}
