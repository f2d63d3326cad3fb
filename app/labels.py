"""Judgements that a person makes while searching, in the layout that evaluation reads."""

import csv
import hashlib
import io
import json
import threading
from pathlib import Path

from evaluation.dataset import judgements_in, questions_in
from retrieval.errors import ServiceError
from retrieval.types import Chunk

_LOCK = threading.Lock()


def place_of(chunk: Chunk) -> str:
    """What a judgement of a passage names: its page where it has one, else its document."""
    where = chunk.provenance
    return where.source if where.page is None else f"{where.source}#page={where.page}"


class Labels:
    """The judgements of one collection: ``queries.jsonl`` and ``qrels/test.tsv`` in a folder."""

    def __init__(self, data_dir: Path, collection: str) -> None:
        self.folder = data_dir / "labels" / collection
        self.queries = self.folder / "queries.jsonl"
        self._qrels = self.folder / "qrels" / "test.tsv"

    def read(self) -> dict[str, dict[str, int]]:
        """By question, by place: 1 for relevant, 0 for not."""
        if not self.queries.is_file() or not self._qrels.is_file():
            return {}
        texts = questions_in(self.queries)
        judged: dict[str, dict[str, int]] = {text: {} for text in texts.values()}
        for id, place, score in judgements_in(self._qrels):
            if id in texts:
                judged[texts[id]][place] = score
        return judged

    def mark(self, question: str, place: str, score: int | None) -> None:
        """Judge one place for a question; ``None`` takes the judgement back."""
        question = " ".join(question.split())
        with _LOCK:
            judged = self.read()
            places = judged.setdefault(question, {})
            if score is None:
                places.pop(place, None)
            else:
                places[place] = score
            self._write({text: found for text, found in judged.items() if found})

    def of(self, question: str) -> dict[str, int]:
        """The judgements of one question."""
        return self.read().get(" ".join(question.split()), {})

    def _write(self, judged: dict[str, dict[str, int]]) -> None:
        ids = {text: hashlib.sha256(text.encode()).hexdigest()[:12] for text in judged}
        queries = "".join(
            json.dumps({"_id": ids[text], "text": text}, ensure_ascii=False) + "\n"
            for text in judged
        )
        table = io.StringIO()
        rows = csv.writer(table, delimiter="\t", lineterminator="\n")
        rows.writerow(["query-id", "corpus-id", "score"])
        for text, places in judged.items():
            rows.writerows([ids[text], place, score] for place, score in places.items())
        try:
            self._qrels.parent.mkdir(parents=True, exist_ok=True)
            for file, content in ((self.queries, queries), (self._qrels, table.getvalue())):
                draft = file.with_name(f".{file.name}.new")
                draft.write_text(content, encoding="utf-8", newline="")
                draft.replace(file)
        except OSError as error:
            raise ServiceError(f"{self.folder} cannot be written: {error.strerror}") from error
