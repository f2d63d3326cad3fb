"""Answers without a language model: the sentences of the passages that answer best."""

from collections.abc import Sequence

from twotower.app.answering.answer import Citation, Claim
from twotower.app.answering.checking import MAX_SENTENCES
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.search.context import Passage
from twotower.retrieval.search.results import Hit
from twotower.retrieval.search.sentences import sentence_spans
from twotower.retrieval.vocabulary.documents import Chunk

QUOTED = 3  # sentences of an answer


def quoted_claims(
    encoder: Encoder, question: str, hits: Sequence[Hit], passages: Sequence[Passage]
) -> tuple[Claim, ...]:
    """Choose sentences that are close to the question, in passages that rank high.

    The cosine and the score of the hit are added as they are: of the weights 0 to 4 for the second,
    1 chose the right document most often on XQuAD.
    """
    by_chunk = {id: passage for passage in passages for id in passage.chunk_ids}
    sentences = [
        (hit, hit.chunk.text[start:end])
        for hit in hits
        if hit.chunk.id in by_chunk
        for start, end in sentence_spans(hit.chunk.text)[:MAX_SENTENCES]
        if not _is_heading(hit.chunk, hit.chunk.text[start:end])
    ]
    if not sentences:
        return ()
    rows = encoder.encode_passages([text for _, text in sentences])
    cosines = rows @ encoder.encode_questions([question])[0]
    scores = [float(cosines[n]) + hit.score for n, (hit, _) in enumerate(sentences)]
    claims: dict[str, Claim] = {}
    for n in sorted(range(len(sentences)), key=lambda n: (-scores[n], n)):
        hit, sentence = sentences[n]
        passage = by_chunk[hit.chunk.id]
        text = " ".join(sentence.split())
        page = hit.chunk.provenance.page
        citation = Citation(
            passage.number, str(hit.chunk.id), passage.source, page, text, supported=True
        )
        claims.setdefault(text, Claim(f"{text} [{passage.number}]", (citation,)))
        if len(claims) == QUOTED:
            break
    return tuple(claims.values())


def _is_heading(chunk: Chunk, sentence: str) -> bool:
    """Return True for a line that only names what comes below it, and answers nothing."""
    return any(sentence in heading for heading in chunk.provenance.headings)
