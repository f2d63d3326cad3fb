"""Hits for other programs, and the stretch of a passage that is worth showing first."""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any

from retrieval.options import SearchOptions
from retrieval.types import Chunk, Explanation, Hit, Judgement

PREVIEW = 420  # characters of a passage that are shown first
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def search_json(
    question: str, options: SearchOptions, took_ms: float, hits: Sequence[Hit]
) -> dict[str, Any]:
    """Build the object that ``search --json`` prints."""
    judgement = hits[0].judgement if hits else Judgement()
    return {
        "question": question,
        "mode": options.mode,
        "fusion": options.fusion,
        "rerank": options.rerank,
        "took_ms": round(took_ms, 1),
        "answerable": judgement.answerable,
        "probability": judgement.probability,
        "hits": [hit_json(hit) for hit in hits],
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """Build one hit of such an object."""
    where = hit.chunk.provenance
    shown: dict[str, Any] = {
        "rank": hit.rank,
        "score": hit.score,
        "chunk_id": str(hit.chunk.id),
        "text": hit.chunk.text,
        "source": where.source,
        "page": where.page,
        "headings": list(where.headings),
        "modified": where.modified,
        "metadata": dict(hit.chunk.metadata),
        "legs": {
            name: place and {"rank": place.rank, "score": place.score}
            for name, place in hit.legs.items()
        },
        "fused": hit.fused,
        "reranked": hit.reranked and dataclasses.asdict(hit.reranked),
        "out_of_time": hit.out_of_time,
        "before": [_chunk_json(chunk) for chunk in hit.before],
        "after": [_chunk_json(chunk) for chunk in hit.after],
    }
    if hit.explanation is not None:
        shown["explanation"] = _explanation_json(hit.explanation, hit.chunk.text)
    return shown


def _chunk_json(chunk: Chunk) -> dict[str, Any]:
    return {"chunk_id": str(chunk.id), "text": chunk.text, "page": chunk.provenance.page}


def _explanation_json(explanation: Explanation, text: str) -> dict[str, Any]:
    closest = explanation.closest
    return {
        "parts": {
            name: {"weight": weight, "normalised": normalised}
            for name, (weight, normalised) in explanation.parts.items()
        },
        "background": explanation.background
        and dict(zip(("mean", "deviation"), explanation.background, strict=True)),
        "question_idf": explanation.question_idf,
        "terms": [dataclasses.asdict(term) | {"score": term.score} for term in explanation.terms],
        "closest": closest
        and dataclasses.asdict(closest) | {"text": text[closest.start : closest.end]},
        "added": [{"term": term, "weight": weight} for term, weight in explanation.added],
    }


def window(text: str, matches: Sequence[tuple[int, int]], size: int = PREVIEW) -> tuple[int, int]:
    """Choose the stretch of a passage with the most marked words: offsets, at a word's border."""
    if len(text) <= size:
        return 0, len(text)

    def distinct(start: int) -> int:
        return len({text[a:b].lower() for a, b in matches if start <= a and b <= start + size})

    best = max([0, *(max(a - size // 4, 0) for a, _ in matches)], key=lambda s: (distinct(s), -s))
    start = text.rfind(" ", 0, best) + 1 if best else 0
    end = text.find(" ", min(start + size, len(text)))
    return start, len(text) if end < 0 else end


def to_csv(hits: Sequence[Hit]) -> str:
    """Write hits as a table; what a spreadsheet would take for a formula is made text."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["rank", "score", "source", "page", "headings", "citation", "text", "chunk_id"])
    for hit in hits:
        where = hit.chunk.provenance
        cells = [
            hit.rank,
            round(hit.score, 6),
            where.source,
            "" if where.page is None else where.page,
            " > ".join(where.headings),
            citation(hit.chunk),
            hit.chunk.text,
            str(hit.chunk.id),
        ]
        rows.writerow([_no_formula(cell) for cell in cells])
    return table.getvalue()


def _no_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def to_markdown(question: str, hits: Sequence[Hit]) -> str:
    """Write hits as quotations with their citations; their own markup is escaped."""
    parts = [f"# {escape_markdown(' '.join(question.split()))}"]
    for hit in hits:
        quoted = "\n".join(f"> {escape_markdown(line)}" for line in hit.chunk.text.splitlines())
        parts.append(f"{quoted}\n\n\\[{hit.rank}\\] {escape_markdown(citation(hit.chunk))}")
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Escape what Markdown would take for markup, so that it is shown as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def citation(chunk: Chunk) -> str:
    """Source, page and heading of a passage, for people."""
    where = chunk.provenance
    page = "" if where.page is None else f", page {where.page}"
    heading = f", {' > '.join(where.headings)}" if where.headings else ""
    return f"{where.source}{page}{heading}"
