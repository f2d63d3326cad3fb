"""An answer: its sentences, the passages that each of them cites, and the result of the checks."""

from dataclasses import dataclass
from typing import Literal

from twotower.retrieval.search.context import Passage
from twotower.retrieval.search.results import Hit

Kind = Literal["generated", "extractive", "refused"]


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer cites for one of its sentences.

    Attributes
    ----------
    number
        Number of the passage, as the answer writes it.
    quote
        The sentence of the passage that is closest to the answer's.
    supported
        True if that sentence supports the answer's, as far as similarity and numbers show.
    """

    number: int
    chunk_id: str
    source: str
    page: int | None
    quote: str
    supported: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer.

    Attributes
    ----------
    problem
        Reason why the sentence is not supported; empty where it is.
    """

    text: str
    citations: tuple[Citation, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, sentence by sentence, with the passages that it was made from.

    Attributes
    ----------
    standalone_question
        The question that was searched: rewritten where it follows on from others.
    """

    question: str
    standalone_question: str
    text: str
    kind: Kind
    claims: tuple[Claim, ...]
    passages: tuple[Passage, ...]
    hits: tuple[Hit, ...]

    @property
    def unsupported(self) -> list[Claim]:
        """The sentences that failed a check."""
        return [claim for claim in self.claims if claim.problem]
