"""Relevance labels that a person gives while searching, in the layout that evaluation reads."""

import csv
import hashlib
import io
import json
import threading
from pathlib import Path

from twotower.evaluation.dataset import read_judgements, read_queries
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ServiceError

_LOCK = threading.Lock()


def label_location(chunk: Chunk) -> str:
    """Return the location that a label of a passage names: its page, or else its document."""
    where = chunk.provenance
    return where.source if where.page is None else f"{where.source}#page={where.page}"


class Labels:
    """The labels of one collection: ``queries.jsonl`` and ``qrels/test.tsv`` in a folder."""

    def __init__(self, data_dir: Path, collection: str) -> None:
        self.folder = data_dir / "labels" / collection
        self.queries = self.folder / "queries.jsonl"
        self._qrels = self.folder / "qrels" / "test.tsv"

    def read(self) -> dict[str, dict[str, int]]:
        """Read the labels by question and location: 1 for relevant, 0 for not relevant."""
        if not self.queries.is_file() or not self._qrels.is_file():
            return {}
        texts = read_queries(self.queries)
        labels: dict[str, dict[str, int]] = {text: {} for text in texts.values()}
        for id, location, score in read_judgements(self._qrels):
            if id in texts:
                labels[texts[id]][location] = score
        return labels

    def answered(self) -> int:
        """Count the questions that have a relevant place."""
        return sum(any(places.values()) for places in self.read().values())

    def mark(self, question: str, location: str, score: int | None) -> None:
        """Label one location for a question; ``None`` removes the label."""
        question = " ".join(question.split())
        with _LOCK:
            labels = self.read()
            locations = labels.setdefault(question, {})
            if score is None:
                locations.pop(location, None)
            else:
                locations[location] = score
            self._write({text: own for text, own in labels.items() if own})

    def of(self, question: str) -> dict[str, int]:
        """Return the labels of one question."""
        return self.read().get(" ".join(question.split()), {})

    def _write(self, labels: dict[str, dict[str, int]]) -> None:
        ids = {text: hashlib.sha256(text.encode()).hexdigest()[:12] for text in labels}
        queries = "".join(
            json.dumps({"_id": ids[text], "text": text}, ensure_ascii=False) + "\n"
            for text in labels
        )
        table = io.StringIO()
        rows = csv.writer(table, delimiter="\t", lineterminator="\n")
        rows.writerow(["query-id", "corpus-id", "score"])
        for text, locations in labels.items():
            rows.writerows([ids[text], location, score] for location, score in locations.items())
        try:
            self._qrels.parent.mkdir(parents=True, exist_ok=True)
            for file, content in ((self.queries, queries), (self._qrels, table.getvalue())):
                draft = file.with_name(f".{file.name}.new")
                draft.write_text(content, encoding="utf-8", newline="")
                draft.replace(file)
        except OSError as error:
            raise ServiceError(f"{self.folder} cannot be written: {error.strerror}") from error
