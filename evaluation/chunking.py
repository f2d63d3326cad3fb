"""How well chunk settings fit labelled excerpts: recall, precision and IoU, in tokens.

Smith and Troynikov, 'Evaluating Chunking Strategies for Retrieval' (Chroma, 2024). Beside a CSV
file with the columns question, references (JSON list of objects with content, start_index and
end_index, in characters) and corpus_id lie the documents, as ``<corpus_id>.md``.
"""

import csv
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.chunking import ChunkSettings, chunk_document, document_text
from ingest.elements import Element, ParsedDocument
from retrieval.encoder import Encoder
from retrieval.errors import ConfigurationError
from retrieval.model_folder import load_tokenizer
from retrieval.types import Chunk

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
    """Of the tokens retrieved for one question, how they meet those of its excerpts.

    ``precision`` and ``iou`` count a token once for each chunk that repeats it.
    """

    recall: float
    precision: float
    iou: float


def read_questions(folder: Path) -> list[Question]:
    """Read the CSV file of a folder and check that its documents are there.

    Raises
    ------
    ConfigurationError
        If there is not one CSV file, or a row is malformed (it names the row).
    """
    files = sorted(folder.glob("*.csv"))
    if len(files) != 1:
        raise ConfigurationError(
            f"{folder} has {len(files)} CSV files; one with questions is needed"
        )
    with files[0].open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"question", "references", "corpus_id"} - set(reader.fieldnames or ())
        if missing:
            raise ConfigurationError(f"{files[0]} lacks the columns {', '.join(sorted(missing))}")
        questions = [_question(row, files[0], n) for n, row in enumerate(reader, start=2)]
    if not questions:
        raise ConfigurationError(f"{files[0]} has no question")
    for corpus in {question.corpus for question in questions}:
        if not (folder / f"{corpus}.md").is_file():
            raise ConfigurationError(f"{folder} has no {corpus}.md, which {files[0].name} names")
    return questions


def _question(row: dict[str, str], file: Path, number: int) -> Question:
    try:
        references = tuple(
            (int(entry["start_index"]), int(entry["end_index"]))
            for entry in json.loads(row["references"])
        )
        if not references or any(start < 0 or end <= start for start, end in references):
            raise ValueError("no range of characters")  # noqa: TRY301 - said with the row below
        return Question(row["question"], row["corpus_id"], references)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}, row {number}: references: {error}") from error


def chunks_of(
    corpus: str, raw: str, encoder: Encoder, settings: ChunkSettings
) -> list[tuple[Chunk, Range]]:
    """Cut a document, and tell where each chunk stands in the file as it is.

    Paragraphs are taken as they are written, headings by their ``#``: no parser moves characters.
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
        raise AssertionError("elements are not laid out as they are counted here")

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
    """Compare retrieved ranges with excerpts.

    Parameters
    ----------
    retrieved, references
        Ranges of characters in one document, half-open.
    tokens
        Where each token of the document stands.
    elsewhere
        How many tokens were retrieved from other documents.
    """

    def covered(ranges: Sequence[Range]) -> list[int]:
        return [sum(start < b and a < end for a, b in ranges) for start, end in tokens]

    wanted = [count > 0 for count in covered(references)]
    given = covered(retrieved)
    hit = sum(1 for want, times in zip(wanted, given, strict=True) if want and times)
    asked, handed = sum(wanted), sum(given) + elsewhere
    either = handed + (asked - hit)
    return Overlap(
        recall=hit / asked if asked else 0.0,
        precision=hit / handed if handed else 0.0,
        iou=hit / either if either else 0.0,
    )
