"""Answers with checked citations: written by a language model, or quoted without one."""

import secrets
from collections.abc import Callable, Sequence

from twotower.app.answering.answer import Answer
from twotower.app.answering.checking import checked_claims
from twotower.app.answering.prompts import Generate, answer_messages, rewritten, without_refusal
from twotower.app.answering.quoting import quoted_claims
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.search.context import build_context
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.results import SearchResult

Retrieve = Callable[[str, SearchOptions | None], SearchResult]

HITS = 8  # passages that an answer is made from


class Answerer:
    """Answers questions about one collection.

    Parameters
    ----------
    retrieve
        Function that searches for a question; it is not called while an answer is written.
    encoder
        The encoder that checks citations.
    count_tokens
        Function that counts the tokens of a text.
    generate
        Function that yields the pieces of an answer to messages; ``None`` quotes instead.
    budget
        Maximum number of tokens of all passages together.
    """

    def __init__(
        self,
        retrieve: Retrieve,
        encoder: Encoder,
        count_tokens: Callable[[str], int],
        generate: Generate | None,
        budget: int,
    ) -> None:
        self._retrieve = retrieve
        self._encoder = encoder
        self._count_tokens = count_tokens
        self._generate = generate
        self._budget = budget

    def answer(
        self,
        question: str,
        history: Sequence[Answer] = (),
        options: SearchOptions | None = None,
        on_text: Callable[[str], None] = lambda _piece: None,
    ) -> Answer:
        """Answer one question.

        Parameters
        ----------
        history
            Earlier answers of the conversation, oldest first.
        options
            Search options.
        on_text
            Function that gets the text of the answer piece by piece, before it is checked.

        Raises
        ------
        ConfigurationError
            For an empty or an overlong question; see `Retriever.retrieve`.
        ServiceError
            If the model is not available, breaks off, or gives no readable answer.
        """
        standalone = question
        if history and self._generate is not None:
            standalone = rewritten(question, history, self._generate)
        result = self._retrieve(standalone, options)
        hits = result.hits[:HITS]
        if not hits or result.judgement.answerable == "false":
            return Answer(question, standalone, "", "refused", (), (), hits)
        passages = build_context(hits, self._budget, self._count_tokens).passages
        if not passages:
            return Answer(question, standalone, "", "refused", (), (), hits)
        if self._generate is None:
            claims = quoted_claims(self._encoder, standalone, hits, passages)
            if not claims:
                return Answer(question, standalone, "", "refused", (), passages, hits)
            text = "\n".join(claim.text for claim in claims)
            on_text(text)
            return Answer(question, standalone, text, "extractive", claims, passages, hits)
        key = secrets.token_hex(4)  # no document can contain it, so none can end its own quotation
        pieces: list[str] = []
        for piece in without_refusal(
            self._generate(answer_messages(question, standalone, passages, key))
        ):
            pieces.append(piece)
            on_text(piece)
        text = "".join(pieces).replace(key, "").strip()
        if not text:
            return Answer(question, standalone, "", "refused", (), passages, hits)
        claims = checked_claims(self._encoder, text, passages, hits)
        return Answer(question, standalone, text, "generated", claims, passages, hits)
