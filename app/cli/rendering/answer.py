"""Output of `twotower ask`."""

import sys
from typing import Any

from twotower.app.answering.answer import Answer
from twotower.app.cli.rendering.output import harmless
from twotower.app.cli.rendering.output import print_json as print_object
from twotower.app.services.exports import hit_json

_NOTHING = "The documents do not answer this."
_QUOTED = "Quoted from the documents. Set TWOTOWER_LLM to let a language model write answers."


class Stream:
    """Prints an answer while it is written, without the control characters of a terminal."""

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
    """Build the object that ``ask --json`` prints."""
    return {
        "question": answer.question,
        "asked": answer.standalone_question,
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
    """Print an answer as one JSON object."""
    print_object(answer_json(answer))


def print_sources(answer: Answer) -> None:
    """Print the sources of an answer, and the sentences that failed a check."""
    if answer.kind == "refused":
        print(_NOTHING)
        if answer.hits:
            nearest = answer.hits[0].chunk.provenance
            print(harmless(f"The nearest passage is in {nearest.location}."))
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
