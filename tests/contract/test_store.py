"""What every `Store` does; one suite over each implementation."""

from uuid import UUID

import numpy as np
import pytest

from retrieval.errors import ServiceError
from retrieval.store.edge import EdgeStore
from retrieval.store.protocol import Filter, Leg, Point
from retrieval.types import SparseVector

DIMENSION = 4
STORES = {"edge": lambda folder: EdgeStore(folder / "store", DIMENSION)}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    store = STORES[request.param](tmp_path)
    yield store
    store.close()


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def point(number: int, dense=None, bm25=None, **payload) -> Point:
    return Point(UUID(int=number), {"kind": "chunk", **payload}, dense, bm25)


def test_what_is_written_is_read_back(store):
    payload = {"kind": "chunk", "text": "ä\n☃", "page": None, "headings": ["a", "b"], "n": 3}
    store.upsert([Point(UUID(int=1), payload, unit(1, 0, 0, 0))])
    assert store.retrieve([UUID(int=1), UUID(int=2)]) == {UUID(int=1): payload}


def test_both_legs_are_ranked_in_one_batch(store):
    store.upsert(
        [
            point(1, unit(1, 0, 0, 0), SparseVector((7,), (1.0,))),
            point(2, unit(1, 1, 0, 0), SparseVector((7, 9), (1.0, 2.0))),
            point(3, unit(0, 0, 1, 0), SparseVector((11,), (1.0,))),
        ]
    )
    dense, bm25 = store.search(
        [Leg(unit(1, 0, 0, 0)), Leg(SparseVector((7, 9), (1.0, 1.0)))], limit=2
    )
    assert [item.id.int for item in dense] == [1, 2]
    assert [item.score for item in dense] == pytest.approx([1.0, 0.5**0.5], abs=1e-4)
    assert [item.id.int for item in bm25] == [2, 1]


def test_rare_terms_weigh_more(store):
    """The modifier is ln(1 + (N - n + 0.5) / (n + 0.5)) over the points that have the vector."""
    store.upsert([point(n, None, SparseVector((7, 100 + n), (1.0, 1.0))) for n in range(1, 6)])
    store.upsert([Point(UUID(int=99), {"kind": "document"})])
    (ranking,) = store.search([Leg(SparseVector((103,), (1.0,)))], limit=5)
    assert [item.id.int for item in ranking] == [3]
    assert ranking[0].score == pytest.approx(np.log(1 + (5 - 1 + 0.5) / (1 + 0.5)), rel=1e-4)


def test_equal_scores_are_ordered_by_id(store):
    store.upsert([point(n, unit(1, 0, 0, 0)) for n in (5, 2, 9, 1)])
    (ranking,) = store.search([Leg(unit(1, 0, 0, 0))], limit=10)
    assert [item.id.int for item in ranking] == [1, 2, 5, 9]


def test_no_search_returns_a_point_without_vectors(store):
    store.upsert([Point(UUID(int=1), {"kind": "document"})])
    legs = [Leg(unit(1, 0, 0, 0)), Leg(SparseVector((7,), (1.0,)))]
    assert store.search(legs, limit=5) == [[], []]


def test_an_empty_sparse_question_finds_nothing(store):
    store.upsert([point(1, unit(1, 0, 0, 0), SparseVector((7,), (1.0,)))])
    assert store.search([Leg(SparseVector((), ()))], limit=5) == [[]]


def test_scroll_and_count_follow_the_filter_over_many_pages(store):
    store.upsert([point(n, source=f"{n % 2}.md") for n in range(2500)])
    store.upsert([Point(UUID(int=9999), {"kind": "document", "source": "1.md"})])
    where = Filter({"kind": "chunk", "source": "1.md"})
    assert {id.int for id, _ in store.scroll(where)} == set(range(1, 2500, 2))
    assert store.count(where) == 1250
    assert store.count(Filter({"kind": "document"})) == 1


def test_an_upsert_replaces_the_point_whole(store):
    store.upsert([point(1, unit(1, 0, 0, 0), text="old", extra=1)])
    store.upsert([point(1, unit(0, 1, 0, 0), text="new")])
    assert store.retrieve([UUID(int=1)]) == {UUID(int=1): {"kind": "chunk", "text": "new"}}
    (ranking,) = store.search([Leg(unit(0, 1, 0, 0))], limit=1)
    assert ranking[0].score == pytest.approx(1.0, abs=1e-4)


def test_a_payload_is_replaced_and_the_vectors_stay(store):
    store.upsert([point(1, unit(1, 0, 0, 0), text="old", extra=1)])
    store.overwrite_payloads({UUID(int=1): {"kind": "chunk", "text": "new"}})
    assert store.retrieve([UUID(int=1)]) == {UUID(int=1): {"kind": "chunk", "text": "new"}}
    (ranking,) = store.search([Leg(unit(1, 0, 0, 0))], limit=1)
    assert [item.id.int for item in ranking] == [1]


def test_deleted_points_are_gone_and_unknown_ids_ignored(store):
    store.upsert([point(1, unit(1, 0, 0, 0)), point(2, unit(1, 0, 0, 0))])
    store.delete([UUID(int=1), UUID(int=77)])
    assert set(store.retrieve([UUID(int=1), UUID(int=2)])) == {UUID(int=2)}
    (ranking,) = store.search([Leg(unit(1, 0, 0, 0))], limit=5)
    assert [item.id.int for item in ranking] == [2]


def test_a_vector_of_another_dimension_is_a_service_error(store):
    with pytest.raises(ServiceError, match="dim"):
        store.upsert([Point(UUID(int=1), {}, np.ones(3, dtype=np.float32))])
