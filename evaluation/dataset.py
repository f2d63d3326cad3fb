"""Labelled questions in the layout of BEIR, with or without a corpus.

::

    corpus.jsonl     {"_id", "title", "text"}            one document per line; optional
    queries.jsonl    {"_id", "text"}                     one question per line
    qrels/test.tsv   query-id  corpus-id  score          with this header; score 0: not relevant

Without a corpus, `corpus-id` names a document of a live collection, or a page of a document:
``policies/travel.pdf`` or ``policies/travel.pdf#page=3``.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.retrieval.vocabulary.errors import ConfigurationError

_SPLITS = ("test", "dev", "train")

Judgements = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions and the documents that are relevant to them.

    Attributes
    ----------
    questions
        Text by id. Questions without a judgement are included: no document answers them.
    judged
        Relevance by question and document (or page); 0 is not relevant. Questions without a
        relevant document are left out.
    unknown_questions, unknown_documents
        Number of judgements that name a question or a document that does not exist.
    """

    name: str
    questions: Mapping[str, str]
    judged: Judgements
    unknown_questions: int = 0
    unknown_documents: int = 0

    @property
    def unanswerable(self) -> list[str]:
        """Ids of the questions that no document answers."""
        return [id for id in self.questions if id not in self.judged]


def read_corpus(folder: Path) -> list[Document]:
    """Read ``corpus.jsonl``.

    Raises
    ------
    ConfigurationError
        If the file is malformed (the message gives the line), has an id twice, or is empty.
    """
    file = folder / "corpus.jsonl"
    documents: dict[str, Document] = {}
    for number, entry in _lines(file):
        id = _text(entry, "_id", file, number)
        if id in documents:
            raise ConfigurationError(f"{file}, line {number}: the document id '{id}' occurs twice")
        title = entry.get("title") or ""
        documents[id] = Document(id, str(title), _text(entry, "text", file, number, empty=True))
    if not documents:
        raise ConfigurationError(f"{file} contains no documents")
    return list(documents.values())


def read_dataset(folder: Path, known: frozenset[str] | None = None) -> Dataset:
    """Read questions and judgements.

    Parameters
    ----------
    folder
        The folder, or its ``queries.jsonl``.
    known
        Ids of the documents that exist. Judgements of other documents are counted and left out.

    Raises
    ------
    ConfigurationError
        If a file is missing or malformed, or no question has a relevant document.
    """
    queries = folder if folder.is_file() else folder / "queries.jsonl"
    folder = queries.parent
    questions = read_queries(queries)
    if not questions:
        raise ConfigurationError(f"{queries} contains no questions")
    judged: dict[str, dict[str, int]] = {}
    unknown_questions = unknown_documents = 0
    for question, document, score in read_judgements(_qrels(folder)):
        if question not in questions:
            unknown_questions += 1
        elif known is not None and document.split("#page=")[0] not in known:
            unknown_documents += 1
        else:
            judged.setdefault(question, {})[document] = score
    judged = {id: scores for id, scores in judged.items() if max(scores.values()) > 0}
    if not judged:
        raise ConfigurationError(
            f"no question in {queries} has a relevant document: {unknown_questions} judgements "
            f"name unknown questions and {unknown_documents} name unknown documents; check the ids "
            f"in {folder / 'qrels'}"
        )
    name = folder.resolve().name
    return Dataset(name, questions, judged, unknown_questions, unknown_documents)


def _qrels(folder: Path) -> Path:
    for split in _SPLITS:
        if (folder / "qrels" / f"{split}.tsv").is_file():
            return folder / "qrels" / f"{split}.tsv"
    names = ", ".join(f"{split}.tsv" for split in _SPLITS)
    raise ConfigurationError(
        f"{folder / 'qrels'} contains none of {names}; one of them must contain the judgements"
    )


def read_queries(file: Path) -> dict[str, str]:
    """Read ``queries.jsonl``: the text of each question, by id.

    Raises
    ------
    ConfigurationError
        If the file is malformed or has an id twice.
    """
    questions: dict[str, str] = {}
    for number, entry in _lines(file):
        id, text = (_text(entry, key, file, number) for key in ("_id", "text"))
        if id in questions:
            raise ConfigurationError(f"{file}, line {number}: the question id '{id}' occurs twice")
        questions[id] = text
    return questions


def read_judgements(file: Path) -> Iterator[tuple[str, str, int]]:
    """Read a table of judgements: question, document (or page), and score.

    Raises
    ------
    ConfigurationError
        If the file is malformed.
    """
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream, delimiter="\t"), start=1):
                if number == 1 and row[-1:] == ["score"]:
                    continue
                if len(row) not in (3, 4):
                    raise ConfigurationError(
                        f"{file}, line {number}: {len(row)} columns; expected query-id, "
                        "corpus-id and score, separated by tabs"
                    )
                yield row[0], row[-2], _score(row[-1], file, number)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error


def _score(text: str, file: Path, number: int) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{file}, line {number}: the score '{text}' is not a whole number"
        ) from error


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, _object(line, file, number)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{file} cannot be read: {reason}") from error


def _object(line: str, file: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{file}, line {number}: not valid JSON ({error.msg})") from error
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{file}, line {number}: not a JSON object")
    return entry


def _text(entry: Mapping[str, Any], key: str, file: Path, number: int, empty: bool = False) -> str:
    value = entry.get(key)
    if isinstance(value, int) and key == "_id":
        value = str(value)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise ConfigurationError(
            f"{file}, line {number}: '{key}' is missing, empty or not a string"
        )
    return value
