from uuid import UUID

import numpy as np

from twotower.app.services.chunk_map import draw_map, main_sources
from twotower.retrieval.vocabulary.documents import Chunk, Provenance


class Few:
    """As much of a collection as a map looks at."""

    def __init__(self, rows):
        self.rows = {UUID(int=n): row for n, row in enumerate(rows)}

    def some_ids(self, size):
        return list(self.rows)[:size]

    def vectors(self, _name, ids):
        return {id: self.rows[id] for id in ids}

    def chunks(self, ids):
        return [
            Chunk(id, "", "", 0, Provenance(f"{id.int % 3}.md", "", (), None, None, 0, 0))
            for id in ids
        ]


def rows(count=60, d=16):
    made = np.random.default_rng(3).normal(size=(count, d)).astype(np.float32)
    made[:, :2] *= 10
    return made


def test_the_plane_is_that_of_the_two_principal_components():
    from sklearn.decomposition import PCA

    vectors = rows()
    drawn = draw_map(Few(vectors))
    reference = PCA(2).fit(vectors)
    np.testing.assert_allclose(
        np.abs(drawn.points), np.abs(reference.transform(vectors)), atol=1e-3
    )
    np.testing.assert_allclose(
        drawn.explained, reference.explained_variance_ratio_.sum(), atol=1e-4
    )


def test_a_projected_vector_falls_on_the_point_of_an_equal_one():
    vectors = rows()
    drawn = draw_map(Few(vectors))
    np.testing.assert_allclose(drawn.project(vectors[5:7]), drawn.points[5:7], atol=1e-4)


def test_no_map_without_chunks_and_one_point_for_one_chunk():
    assert draw_map(Few(rows(0))) is None
    assert draw_map(Few(rows(1))).points.tolist() == [[0.0, 0.0]]


def test_the_documents_with_the_most_passages_are_named_first():
    drawn = draw_map(Few(rows(7)))
    assert main_sources(drawn.chunks, 2) == ["0.md", "1.md"]
