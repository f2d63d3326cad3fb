"""Measures chunk settings on labelled excerpts: recall, precision and IoU of tokens.

Smith and Troynikov, 'Evaluating Chunking Strategies for Retrieval' (Chroma, 2024). A folder
contains the documents, as ``<corpus_id>.md``, and a CSV file with the columns question, references
(JSON list of objects with content, start_index and end_index, in characters) and corpus_id.
"""

import csv
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twotower.ingest.chunking import ChunkSettings, chunk_document, document_text
from twotower.ingest.elements import Element, ParsedDocument
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.model_folder import load_tokenizer
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError

RETRIEVED = 5  # chunks for each question, as in the report

_HEADING = re.compile(r"(#{1,6})\s+\S")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the excerpts that answer it, as ranges of characters in one document."""

    text: str
    corpus: str
    references: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Overlap of the tokens retrieved for one question with the tokens of its excerpts.

    ``precision`` and ``iou`` count a token once for each chunk that contains it.
    """

    recall: float
    precision: float
    iou: float


def read_questions(folder: Path) -> list[Question]:
    """Read the CSV file of a folder, and check that the documents exist.

    Raises
    ------
    ConfigurationError
        If there is not exactly one CSV file, or a row is malformed (the message gives the row).
    """
    files = sorted(folder.glob("*.csv"))
    if len(files) != 1:
        raise ConfigurationError(
            f"{folder} contains {len(files)} CSV files, but exactly one with questions is expected"
        )
    with files[0].open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"question", "references", "corpus_id"} - set(reader.fieldnames or ())
        if missing:
            raise ConfigurationError(f"{files[0]} lacks the columns {', '.join(sorted(missing))}")
        questions = [_question(row, files[0], n) for n, row in enumerate(reader, start=2)]
    if not questions:
        raise ConfigurationError(f"{files[0]} contains no questions")
    for corpus in {question.corpus for question in questions}:
        if not (folder / f"{corpus}.md").is_file():
            raise ConfigurationError(
                f"{folder} contains no {corpus}.md, which {files[0].name} refers to"
            )
    return questions


def _question(row: dict[str, str], file: Path, number: int) -> Question:
    try:
        references = tuple(
            (int(entry["start_index"]), int(entry["end_index"]))
            for entry in json.loads(row["references"])
        )
        if not references or any(start < 0 or end <= start for start, end in references):
            raise ValueError("not a range of characters")  # noqa: TRY301 - the row is added below
        return Question(row["question"], row["corpus_id"], references)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{file}, row {number}: the references are invalid: {error}"
        ) from error


def chunks_of(
    corpus: str, raw: str, encoder: Encoder, settings: ChunkSettings
) -> list[tuple[Chunk, Range]]:
    """Divide a document into chunks, each with its range of characters in the raw file.

    Blocks between blank lines are paragraphs, or headings if they begin with ``#``. No parser is
    used, so that the offsets of the characters are known.
    """
    elements, starts = [], []
    for match in re.finditer(r"\S(?:.*?\S)??(?=\s*\n\s*\n|\s*\Z)", raw, re.DOTALL):
        heading = _HEADING.match(match[0]) if "\n" not in match[0] else None
        elements.append(
            Element(match[0], "heading", len(heading[1])) if heading else Element(match[0])
        )
        starts.append(match.start())
    offsets, at = [], 0
    for element in elements:
        offsets.append(at)
        at += len(element.text) + len("\n\n")
    document = ParsedDocument(corpus, tuple(elements))
    if at - len("\n\n") != len(document_text(elements)):
        raise AssertionError("the offsets computed here do not match the text of the document")

    def raw_at(offset: int) -> int:
        index = bisect_right(offsets, offset) - 1
        return starts[index] + min(offset - offsets[index], len(elements[index].text))

    tokenizer = load_tokenizer(encoder.model.path)
    return [
        (chunk, (raw_at(chunk.provenance.start), raw_at(chunk.provenance.end - 1) + 1))
        for chunk in chunk_document(f"{corpus}.md", document, tokenizer, settings)
    ]


def overlap(
    retrieved: Sequence[Range],
    references: Sequence[Range],
    tokens: Sequence[Range],
    elsewhere: int = 0,
) -> Overlap:
    """Compare retrieved ranges with labelled excerpts.

    Parameters
    ----------
    retrieved, references
        Ranges of characters in one document, half-open.
    tokens
        Range of each token of the document.
    elsewhere
        Number of tokens retrieved from other documents.
    """

    def count_ranges(ranges: Sequence[Range]) -> list[int]:
        """Count the ranges that contain each token."""
        return [sum(start < b and a < end for a, b in ranges) for start, end in tokens]

    relevant = [count > 0 for count in count_ranges(references)]
    counts = count_ranges(retrieved)
    hits = sum(
        1 for is_relevant, count in zip(relevant, counts, strict=True) if is_relevant and count
    )
    all_relevant, all_retrieved = sum(relevant), sum(counts) + elsewhere
    union = all_retrieved + (all_relevant - hits)
    return Overlap(
        recall=hits / all_relevant if all_relevant else 0.0,
        precision=hits / all_retrieved if all_retrieved else 0.0,
        iou=hits / union if union else 0.0,
    )
