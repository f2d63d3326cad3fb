import json

import pytest

from twotower.evaluation.dataset import read_corpus, read_dataset
from twotower.retrieval.vocabulary.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "corpus.jsonl", [{"_id": "d1", "title": "T", "text": "x"}])
    write(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "a"}, {"_id": "q2", "text": "b"}])
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n")
    return tmp_path


def write(file, entries):
    file.write_text("\n".join(json.dumps(entry) for entry in entries))


def test_questions_judgements_and_corpus_are_read(folder):
    dataset = read_dataset(folder)
    assert dataset.judged == {"q1": {"d1": 2}}
    assert dataset.unanswerable == ["q2"]
    assert read_dataset(folder / "queries.jsonl") == dataset
    assert [document.id for document in read_corpus(folder)] == ["d1"]


def test_unknown_ids_are_counted_and_left_out(folder):
    judgements = folder / "qrels" / "test.tsv"
    judgements.write_text("q1\td1\t1\nq9\td1\t1\nq1\td9\t1\nq1\td1#page=3\t1\n")
    dataset = read_dataset(folder, frozenset(["d1"]))
    assert dataset.judged == {"q1": {"d1": 1, "d1#page=3": 1}}
    assert (dataset.unknown_questions, dataset.unknown_documents) == (1, 1)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("queries.jsonl", "", "contains no questions"),
        ("queries.jsonl", "{", "line 1: not valid JSON"),
        ("queries.jsonl", "[]", "line 1: not a JSON object"),
        ("queries.jsonl", '{"_id": "q1"}', "line 1: 'text' is missing"),
        ("queries.jsonl", '{"_id": "q", "text": "a"}\n' * 2, "line 2: the question id 'q' occurs"),
        ("qrels/test.tsv", "q1 d1 1\n", "line 1: 1 columns"),
        ("qrels/test.tsv", "q1\td1\thigh\n", "'high' is not a whole number"),
        ("qrels/test.tsv", "q1\td1\t0\n", "no question in .* has a relevant document"),
        ("qrels/test.tsv", "q7\td1\t1\n", "1 judgements name unknown questions and 0 name unknown"),
        ("corpus.jsonl", "", "contains no documents"),
        (
            "corpus.jsonl",
            '{"_id": "d", "text": ""}\n' * 2,
            "line 2: the document id 'd' occurs twice",
        ),
    ],
)
def test_errors_of_malformed_files_give_the_position(folder, file, content, message):
    (folder / file).write_text(content)
    read = read_corpus if file == "corpus.jsonl" else read_dataset
    with pytest.raises(ConfigurationError, match=message):
        read(folder)


def test_missing_judgements_and_missing_folders_are_errors(folder):
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(ConfigurationError, match=r"none of test.tsv, dev.tsv, train.tsv"):
        read_dataset(folder)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_dataset(folder / "nowhere")
