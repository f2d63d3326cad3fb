"""What `twotower ask` prints."""

import sys
from typing import Any

from app.answer import Answer
from app.hits import hit_json
from app.render import harmless
from app.render import print_json as print_object

_NOTHING = "The documents do not answer this."
_QUOTED = "Quoted from the documents; set TWOTOWER_LLM for an answer in words of its own."


class Stream:
    """Prints an answer as it comes, without what a terminal would obey."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._written = False

    def write(self, piece: str) -> None:
        """Print a piece."""
        if not self._quiet:
            print(harmless(piece), end="", flush=True)
            self._written = True

    def close(self) -> None:
        """End the line."""
        if self._written:
            print()


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer as `ask --json` prints it."""
    return {
        "question": answer.question,
        "asked": answer.asked,
        "answer": answer.text,
        "kind": answer.kind,
        "citations": [
            {
                "number": citation.number,
                "chunk_id": citation.chunk_id,
                "source": citation.source,
                "page": citation.page,
                "quote": citation.quote,
                "supported": citation.supported,
            }
            for claim in answer.claims
            for citation in claim.citations
        ],
        "unsupported": [
            {"sentence": claim.text, "problem": claim.problem} for claim in answer.unsupported
        ],
        "hits": [hit_json(hit) for hit in answer.hits],
    }


def print_json(answer: Answer) -> None:
    """Print it as one object."""
    print_object(answer_json(answer))


def print_sources(answer: Answer) -> None:
    """Print what stands behind an answer: its sources, and the sentences that failed a check."""
    if answer.kind == "refused":
        print(_NOTHING)
        if answer.hits:
            nearest = answer.hits[0].chunk.provenance
            page = "" if nearest.page is None else f", page {nearest.page}"
            print(harmless(f"The nearest passage is in {nearest.source}{page}."))
        return
    cited = {citation.number for claim in answer.claims for citation in claim.citations}
    print()
    for passage in answer.passages:
        if passage.number in cited:
            print(harmless(f"[{passage.number}] {passage.citation}"))
    if answer.kind == "extractive":
        print(_QUOTED, file=sys.stderr)
    for claim in answer.unsupported:
        sentence = " ".join(claim.text.split())
        print(harmless(f"unsupported: {sentence} ({claim.problem})"))
