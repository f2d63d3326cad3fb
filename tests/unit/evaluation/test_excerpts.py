import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.evaluation.chunking import chunks_of, overlap, read_questions
from twotower.ingest.chunking import ChunkSettings
from twotower.retrieval.vocabulary.errors import ConfigurationError

TOKENS = [(n, n + 1) for n in range(10)]  # each character is a token


def test_overlap_matches_a_calculation_by_hand():
    measured = overlap([(0, 4), (2, 6)], [(3, 8)], TOKENS)
    assert measured.recall == pytest.approx(3 / 5)  # 3, 4, 5 of 3 to 7
    assert measured.precision == pytest.approx(3 / 8)  # 2 and 3 were retrieved twice
    assert measured.iou == pytest.approx(3 / (8 + 2))
    assert overlap([], [(3, 8)], TOKENS).recall == 0.0
    assert overlap([(3, 8)], [(3, 8)], TOKENS, elsewhere=5).precision == 0.5
    exact = overlap([(3, 8)], [(3, 8)], TOKENS)
    assert exact.recall == exact.precision == exact.iou == 1.0


@given(st.lists(st.text(alphabet="ab #.\n", min_size=1, max_size=40), min_size=1, max_size=8))
def test_the_range_of_a_chunk_contains_its_text_in_the_file(model, blocks):
    raw = "\n\n".join(blocks)
    if not raw.strip():
        return
    encoder = SimpleNamespace(model=model)
    for chunk, (start, end) in chunks_of("doc", raw, encoder, ChunkSettings(64)):
        assert raw[start:end].split() == chunk.text.split()


def write(folder, references, corpus="doc"):
    (folder / "doc.md").write_text("# A\n\ntext")
    (folder / "questions.csv").write_text(
        'question,references,corpus_id\nwhat,"' + references.replace('"', '""') + f'",{corpus}\n'
    )


def test_questions_are_read(tmp_path):
    write(tmp_path, json.dumps([{"content": "te", "start_index": 5, "end_index": 7}]))
    (question,) = read_questions(tmp_path)
    assert question.references == ((5, 7),)


@pytest.mark.parametrize(
    ("references", "corpus", "message"),
    [
        ("{", "doc", "row 2: the references are invalid"),
        ("[]", "doc", "row 2: the references are invalid: not a range"),
        ('[{"start_index": 9, "end_index": 2}]', "doc", "not a range"),
        ('[{"start_index": 1, "end_index": 2}]', "gone", "contains no gone.md"),
    ],
)
def test_errors_of_malformed_rows_give_the_row(tmp_path, references, corpus, message):
    write(tmp_path, references, corpus)
    with pytest.raises(ConfigurationError, match=message):
        read_questions(tmp_path)


def test_a_folder_needs_one_csv_file_with_all_columns(tmp_path):
    with pytest.raises(ConfigurationError, match="0 CSV files"):
        read_questions(tmp_path)
    (tmp_path / "q.csv").write_text("question\n")
    with pytest.raises(ConfigurationError, match="lacks the columns corpus_id, references"):
        read_questions(tmp_path)
