"""Hits as JSON, CSV and Markdown, and the excerpt of a passage that is shown first."""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any

from twotower.retrieval.search.results import Explanation, Hit, SearchResult
from twotower.retrieval.vocabulary.documents import Chunk

PREVIEW = 420  # characters of an excerpt
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def search_json(result: SearchResult) -> dict[str, Any]:
    """Build the object that ``search --json`` prints."""
    options = result.options
    return {
        "question": result.question,
        "mode": options.mode,
        "fusion": options.fusion,
        "rerank": options.rerank,
        "took_ms": round(result.seconds * 1000, 1),
        "answerable": result.judgement.answerable,
        "probability": result.judgement.probability,
        "ignored_phrases": list(result.ignored_phrases),
        "question_map": result.question_map,
        "out_of_time": result.out_of_time,
        "hits": [hit_json(hit) for hit in result.hits],
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """Build the object of one hit."""
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
            name: leg and {"rank": leg.rank, "score": leg.score} for name, leg in hit.legs.items()
        },
        "fused": hit.fused,
        "reranked": hit.reranked
        and {"score": hit.reranked.score, "moved": hit.reranked.rank_change},
        "before": [_chunk_json(chunk) for chunk in hit.before],
        "after": [_chunk_json(chunk) for chunk in hit.after],
        "outdated": hit.outdated or None,
        "copies": [{"source": place.source, "page": place.page} for place in hit.copies],
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
        "terms": [
            {
                "term": term.term,
                "asked": term.query_weight,
                "idf": term.idf,
                "weight": term.weight,
                "score": term.score,
            }
            for term in explanation.terms
        ],
        "closest": closest
        and dataclasses.asdict(closest) | {"text": text[closest.start : closest.end]},
        "added": [{"term": term, "weight": weight} for term, weight in explanation.added],
    }


def window(text: str, matches: Sequence[tuple[int, int]], size: int = PREVIEW) -> tuple[int, int]:
    """Choose the excerpt with the most distinct marked words: offsets, at word boundaries."""
    if len(text) <= size:
        return 0, len(text)

    def distinct(start: int) -> int:
        return len({text[a:b].lower() for a, b in matches if start <= a and b <= start + size})

    best = max([0, *(max(a - size // 4, 0) for a, _ in matches)], key=lambda s: (distinct(s), -s))
    start = text.rfind(" ", 0, best) + 1 if best else 0
    end = text.find(" ", min(start + size, len(text)))
    return start, len(text) if end < 0 else end


def to_csv(hits: Sequence[Hit]) -> str:
    """Write hits as CSV; a cell that a spreadsheet would take for a formula is made text."""
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
            hit.chunk.provenance.citation,
            hit.chunk.text,
            str(hit.chunk.id),
        ]
        rows.writerow([_no_formula(cell) for cell in cells])
    return table.getvalue()


def _no_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def to_markdown(question: str, hits: Sequence[Hit]) -> str:
    """Write hits as Markdown quotations with citations; the markup in them is escaped."""
    parts = [f"# {escape_markdown(' '.join(question.split()))}"]
    for hit in hits:
        quoted = "\n".join(f"> {escape_markdown(line)}" for line in hit.chunk.text.splitlines())
        parts.append(
            f"{quoted}\n\n\\[{hit.rank}\\] {escape_markdown(hit.chunk.provenance.citation)}"
        )
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Escape the characters that Markdown takes for markup."""
    return _MARKDOWN.sub(r"\\\1", text)
