import pytest

from twotower.app.services.labels import Labels
from twotower.evaluation.dataset import read_dataset
from twotower.retrieval.vocabulary.errors import ConfigurationError


def test_judgements_are_read_back_and_are_a_set_that_evaluation_reads(tmp_path):
    labels = Labels(tmp_path, "documents")
    assert labels.read() == {}
    labels.mark("  how\tlong? ", "a.pdf#page=3", 1)
    labels.mark("how long?", "b\tc.md", 0)
    labels.mark('a "quoted" öne', "d.md", 1)
    assert labels.of("how long?") == {"a.pdf#page=3": 1, "b\tc.md": 0}
    dataset = read_dataset(labels.queries, frozenset({"a.pdf", "b\tc.md", "d.md"}))
    assert set(dataset.questions.values()) == {"how long?", 'a "quoted" öne'}
    assert len(dataset.judged) == 2
    assert (dataset.unknown_documents, dataset.unknown_questions) == (0, 0)


def test_a_judgement_is_changed_and_taken_back(tmp_path):
    labels = Labels(tmp_path, "documents")
    labels.mark("q", "a.md", 1)
    labels.mark("q", "a.md", 0)
    assert labels.of("q") == {"a.md": 0}
    labels.mark("q", "a.md", None)
    assert labels.read() == {}
    labels.mark("q", "a.md", None)
    assert labels.read() == {}


def test_a_file_that_someone_has_broken_is_said_and_not_written_over(tmp_path):
    labels = Labels(tmp_path, "documents")
    labels.mark("q", "a.md", 1)
    labels.queries.write_text("no json\n")
    with pytest.raises(ConfigurationError, match="not valid JSON"):
        labels.mark("other", "b.md", 1)
    assert labels.queries.read_text() == "no json\n"
