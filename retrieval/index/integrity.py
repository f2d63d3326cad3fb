"""The deep check of a collection: everything that is stored, against everything that answers.

The engine checks few of its files. A damaged one may hide documents from a list, passages from a
filter or a search, without any error. So all points are read without a filter, and compared with
the records and the ledger, with the vectors made again where that is cheap, and with what each
payload index, each term and each vector search returns.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

from twotower.retrieval.index.card import LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.digest import document_checksum
from twotower.retrieval.index.ledger import Entries
from twotower.retrieval.index.payload import chunk_from_payload, document_from_payload
from twotower.retrieval.index.store.protocol import INDEXES, VectorQuery
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import ServiceError, TwoTowerError
from twotower.retrieval.vocabulary.filters import Condition, Filter
from twotower.retrieval.vocabulary.vectors import Rows, SparseVector

_PAGE = 1000  # points whose vectors are read at once
_BATCH = 64  # searches in one engine call
_SEARCHED = 10_000  # chunks of a larger collection that are searched by their own vectors
_UNIT = 1e-4  # largest difference of a squared length from 1
_SAME = 1e-3  # largest relative difference of scores that should be equal
_NAMED = 5  # documents that a finding names
_WORD = re.compile(r"[0-9A-Za-z]+")
_ASCII_BORDER = re.compile(r"[^0-9A-Za-z\x80-\U0010ffff]|\Z")

_Item = TypeVar("_Item")
Encode = Callable[[Sequence[str]], Rows]


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage.

    Attributes
    ----------
    part
        What is damaged: ``store``, ``documents``, ``vectors``, ``payload index`` or ``search``.
    problem
        A sentence for people.
    sources
        Documents that are damaged; empty where the documents themselves are complete.
    """

    part: str
    problem: str
    sources: tuple[str, ...] = ()


@dataclass(slots=True)
class Stored:
    """All points of a collection, read without a filter.

    Attributes
    ----------
    chunks
        Chunks by source.
    unreadable
        Number of points whose payload is not that of a chunk, a document or a card.
    """

    records: dict[str, DocumentRecord] = field(default_factory=dict)
    chunks: dict[str, list[Chunk]] = field(default_factory=lambda: defaultdict(list))
    payloads: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)
    unreadable: int = 0

    @property
    def all_chunks(self) -> list[Chunk]:
        """The chunks of all sources."""
        return list(itertools.chain.from_iterable(self.chunks.values()))


def read_all(collection: Collection) -> Stored:
    """Read every point, whatever the payload indexes say.

    Raises
    ------
    ServiceError
        If the engine cannot read them.
    """
    stored = Stored()
    for id, payload in collection.store.scroll(Filter()):
        try:
            if payload["kind"] == "chunk":
                chunk = chunk_from_payload(id, payload)
                stored.chunks[chunk.provenance.source].append(chunk)
                stored.payloads[id] = payload
            elif payload["kind"] == "document":
                record = document_from_payload(payload)
                stored.records[record.source] = record
        except (KeyError, TypeError, ValueError, IndexError):
            stored.unreadable += 1
    return stored


def check(
    collection: Collection,
    encode: Mapping[str, Encode],
    progress: Callable[[str], None] = lambda _step: None,
) -> list[Finding]:
    """Compare everything that a collection stores with its records and with what it answers.

    Parameters
    ----------
    encode
        For legs whose vectors are cheap to make, by name: function from texts to vectors.
    progress
        Function that is called with the name of each step.
    """
    progress("reading all points")
    try:
        legs = collection.card().legs
        stored = read_all(collection)
    except TwoTowerError as error:
        return [Finding("store", f"the collection cannot be read: {error}")]
    steps: Sequence[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("comparing documents", lambda: _documents(collection, stored)),
        ("comparing vectors", lambda: _vectors(collection, stored, legs, encode)),
        ("comparing payload indexes", lambda: _indexes(collection, stored)),
        ("comparing the index of words", lambda: _words(collection, stored)),
        ("searching for every term", lambda: _terms(collection, stored, legs)),
        ("searching for passages", lambda: _searches(collection, stored, legs)),
    ]
    findings: list[Finding] = []
    for name, step in steps:
        progress(name)
        try:
            findings += step()
        except ServiceError as error:
            findings.append(Finding("store", f"{name} failed: {error}"))
    return findings


def _documents(collection: Collection, stored: Stored) -> Iterator[Finding]:
    """Compare the chunks of each document with its record, and the records with the ledger."""
    if stored.unreadable:
        yield Finding("store", f"{stored.unreadable} points have an unreadable payload")
    entries = collection.ledger.read() if collection.ledger else Entries()
    if entries.damaged:
        yield Finding("store", f"{entries.damaged} lines of the ledger documents.log are damaged")
    problems: dict[str, list[str]] = defaultdict(list)
    for source in sorted(stored.records.keys() | entries.documents.keys() | stored.chunks.keys()):
        if problem := _document_problem(source, stored, entries):
            problems[problem].append(source)
    for problem, found in problems.items():
        yield Finding("documents", f"{_named(found)} {problem}", tuple(found))
    for kind, count in (("chunk", len(stored.all_chunks)), ("document", len(stored.records))):
        if (answer := collection.count(kind)) != count:
            yield Finding("payload index", f"{answer} {kind}s are counted, but {count} are stored")


def _document_problem(source: str, stored: Stored, entries: Entries) -> str:
    """Say what is wrong with a document; empty where nothing is."""
    record, chunks = stored.records.get(source), stored.chunks.get(source, [])
    if record is None:
        return "is missing" if source in entries.documents else "has passages, but no record"
    if len(chunks) != record.chunks:
        return f"has {len(chunks)} passages, but its record says {record.chunks}"
    if record.checksum and document_checksum(chunks) != record.checksum:
        return "has passages that differ from the checksum in its record"
    if entries.documents.get(source, record) != record:
        return "has a record that differs from the ledger"
    return ""


def _vectors(
    collection: Collection, stored: Stored, legs: Sequence[LegCard], encode: Mapping[str, Encode]
) -> Iterator[Finding]:
    """Check that each chunk has a sound vector in each leg; make the cheap ones again."""
    for leg in legs:
        damaged: set[str] = set()
        for chunks in _pages(stored.all_chunks):
            found = collection.vectors(leg.name, [chunk.id for chunk in chunks])
            expected: Sequence[Any] = [None] * len(chunks)
            if leg.name in encode:
                expected = list(encode[leg.name]([chunk.encoded_text for chunk in chunks]))
            damaged |= {
                chunk.provenance.source
                for chunk, again in zip(chunks, expected, strict=True)
                if not _sound(leg, found.get(chunk.id), again)
            }
        if damaged:
            sources = sorted(damaged)
            problem = f"{_named(sources)} has damaged or missing vectors in the leg '{leg.name}'"
            yield Finding("vectors", problem, tuple(sources))


def _sound(leg: LegCard, vector: Any, expected: Any) -> bool:
    if vector is None:
        return False
    if isinstance(vector, SparseVector):
        finite = bool(np.isfinite(vector.values).all())
        return finite and (expected is None or _same_terms(vector, expected))
    rows = np.atleast_2d(vector)
    if rows.shape[1] != leg.dimension or not np.isfinite(rows).all():
        return False
    lengths = (rows.astype(np.float64) ** 2).sum(axis=1)
    return bool((np.abs(lengths - 1) < _UNIT).all())


def _same_terms(vector: SparseVector, expected: SparseVector) -> bool:
    one = dict(zip(vector.indices, vector.values, strict=True))
    other = dict(zip(expected.indices, expected.values, strict=True))
    return one.keys() == other.keys() and all(
        abs(one[term] - weight) <= _SAME * abs(weight) for term, weight in other.items()
    )


def _indexes(collection: Collection, stored: Stored) -> Iterator[Finding]:
    """Compare what each payload index counts with the payloads."""
    counts: dict[str, Counter[Any]] = defaultdict(Counter)
    kinds: dict[str, set[type]] = defaultdict(set)
    for payload in stored.payloads.values():
        values = {key: payload.get(key) for key in INDEXES if key not in ("kind", "text")}
        values |= {f"meta.{key}": value for key, value in payload["meta"].items()}
        for key, value in values.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None and one != "":
                    counts[key][one] += 1
                    kinds[key].add(type(one))
    wrong = [
        key
        for key, counter in counts.items()
        if len(kinds[key]) == 1 and _count_differs(collection, key, counter)
    ]
    for key in wrong:
        yield Finding("payload index", f"filters and counts on '{key}' leave out passages")


def _count_differs(collection: Collection, key: str, counts: Counter[Any]) -> bool:
    chunks = Filter((Condition("kind", ("chunk",)),))
    if INDEXES.get(key) == "keyword" and collection.store.count_by(key, chunks) != counts:
        return True
    for value, count in counts.items():
        conditions = []
        if INDEXES.get(key) != "date" and not isinstance(value, float):
            conditions.append(Condition(key, (value,)))
        if INDEXES.get(key) == "date" or isinstance(value, int | float):
            # The engine has an index of its own for ranges.
            conditions.append(Condition(key, range=(("gte", value), ("lte", value))))
        for condition in conditions:
            if collection.store.count(chunks & Filter((condition,))) != count:
                return True
    return False


def _words(collection: Collection, stored: Stored) -> Iterator[Finding]:
    """Check that exact phrases are found: each word in every passage, each passage by its text.

    Words next to other letters than ASCII are left out, since only the engine knows how it divides
    them; the whole text of a passage includes them.
    """
    words: Counter[str] = Counter()
    missing: set[str] = set()
    for source, chunks in stored.chunks.items():
        for chunk in chunks:
            words.update(set(_ascii_words(chunk.text)))
            if any(character.isalnum() for character in chunk.text):
                own = Filter((Condition("text", phrase=chunk.text),), (chunk.id,))
                if collection.store.count(own) != 1:
                    missing.add(source)
    if missing:
        sources = sorted(missing)
        yield Finding("payload index", f"exact phrases do not find passages of {_named(sources)}")
    lost = sum(
        collection.store.count(Filter((Condition("text", phrase=word),))) < count
        for word, count in words.items()
    )
    if lost:
        yield Finding("payload index", f"exact phrases with {lost} words leave out passages")


def _ascii_words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        before = text[match.start() - 1] if match.start() else " "
        if before.isascii() and _ASCII_BORDER.match(text, match.end()):
            yield match[0].lower()


def _terms(collection: Collection, stored: Stored, legs: Sequence[LegCard]) -> Iterator[Finding]:
    """Search for every term of the sparse legs: all passages that have it, in proportion."""
    ids = list(stored.payloads)
    rows = {id: row for row, id in enumerate(ids)}
    for leg in (leg for leg in legs if leg.kind == "sparse"):
        postings = _postings(collection, leg, ids)
        damaged = 0
        for batch in _pages(list(postings), _BATCH):
            most = max(len(postings[term]) for term in batch) + 1
            queries = [VectorQuery(leg.name, SparseVector((term,), (1.0,))) for term in batch]
            answers = collection.search(queries, most)
            for term, answer in zip(batch, answers, strict=True):
                scores = {rows.get(item.id, -1): item.score for item in answer}
                damaged += not _in_proportion(scores, postings[term])
        if damaged:
            yield Finding(
                "search", f"searches for {damaged} terms of the leg '{leg.name}' leave out passages"
            )


def _postings(
    collection: Collection, leg: LegCard, ids: Sequence[UUID]
) -> dict[int, dict[int, float]]:
    """Weights by row of each term, from the stored vectors."""
    postings: dict[int, dict[int, float]] = defaultdict(dict)
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        found = collection.vectors(leg.name, page)
        for row, id in enumerate(page, start):
            if id in found:
                for term, weight in zip(found[id].indices, found[id].values, strict=True):
                    postings[term][row] = weight
    return postings


def _in_proportion(scores: Mapping[int, float], weights: Mapping[int, float]) -> bool:
    """Whether scores are the weights times one factor, the term's rarity."""
    positive = {row: weight for row, weight in weights.items() if weight > 0}
    if scores.keys() != positive.keys():
        return False
    factors = [scores[row] / weight for row, weight in positive.items()]
    return not factors or max(factors) - min(factors) <= _SAME * max(factors)


def _searches(collection: Collection, stored: Stored, legs: Sequence[LegCard]) -> Iterator[Finding]:
    """Search for passages by their own dense vectors; each must come first, or a copy of it."""
    ids = list(stored.payloads)
    if len(ids) > _SEARCHED:
        chosen = np.random.default_rng(0).choice(len(ids), _SEARCHED, replace=False)
        ids = [ids[n] for n in chosen]
    for leg in (leg for leg in legs if leg.kind == "dense"):
        missing = 0
        for page in _pages(ids, _BATCH):
            found = {
                id: vector
                for id, vector in collection.vectors(leg.name, page).items()
                if _sound(leg, vector, None)
            }
            queries = [VectorQuery(leg.name, vector) for vector in found.values()]
            answers = collection.search(queries, 1) if queries else []
            missing += sum(not answer or answer[0].score < 1 - _SAME for answer in answers)
        if missing:
            yield Finding(
                "search", f"{missing} passages are not found by their own vectors in '{leg.name}'"
            )


def _pages(items: Sequence[_Item], size: int = _PAGE) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _named(sources: Sequence[str]) -> str:
    """Name some documents: one, or a number of them with the first few names."""
    if len(sources) == 1:
        return f"document {sources[0]}"
    more = ", ..." if len(sources) > _NAMED else ""
    return f"each of {len(sources)} documents ({', '.join(sources[:_NAMED])}{more})"
