from twotower.retrieval.index.store import server
from twotower.retrieval.index.store.protocol import Point
from twotower.retrieval.vocabulary.vectors import SparseVector


def test_requests_stay_below_the_size_limit_of_a_server(monkeypatch):
    vectors = {"bm25": SparseVector((1,), (1.0,))}
    points = [Point(n, {"text": "x" * 1000}, vectors) for n in range(50)]
    monkeypatch.setattr(server, "_BATCH_BYTES", 5000)
    batches = list(server._batches(points))
    assert [point.id for batch in batches for point in batch] == list(range(50))
    assert max(len(batch) for batch in batches) == 4
    huge = [Point(1, {"text": "x" * 9000}), Point(2, {})]
    assert [len(batch) for batch in server._batches(huge)] == [1, 1]
