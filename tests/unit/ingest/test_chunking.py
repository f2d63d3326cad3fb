from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.ingest.chunking import ChunkSettings, chunk_document, document_text
from twotower.ingest.elements import Element, LineBox, ParsedDocument
from twotower.retrieval.models.model_folder import DEFAULT_ENCODER, find_model, load_tokenizer

TOKENIZER = load_tokenizer(find_model(DEFAULT_ENCODER))
SENTENCE = "The pump is serviced by the workshop every spring. "


def chunked(*elements: Element, title: str = "Manual", tokens: int = 256, **options: int):
    document = ParsedDocument(title, tuple(elements))
    return chunk_document("manual.md", document, TOKENIZER, ChunkSettings(tokens, **options))


def length(text: str) -> int:
    return len(TOKENIZER.encode(text).ids)


words = st.sampled_from(
    [
        "pump",
        "Überdruck",
        "XK-2041/b",
        "a",
        "supercalifragilistic",
        "水泵",
        "😀",
        "1,240.00",
        "x" * 90,
    ]
)
sentences = st.lists(words, min_size=1, max_size=60).map(" ".join)
texts = st.lists(sentences, min_size=1, max_size=4).map(". ".join) | st.text(
    min_size=1, max_size=80
)
rows = st.lists(st.lists(words, min_size=1, max_size=6).map(" | ".join), min_size=1, max_size=40)
page = st.none() | st.integers(1, 4)
elements = st.one_of(
    st.builds(Element, texts, st.sampled_from(["text", "item", "note"]), st.just(0), page),
    st.builds(Element, texts, st.just("heading"), st.integers(1, 4), page),
    st.builds(Element, rows.map("\n".join), st.sampled_from(["table", "lines"]), st.just(0), page),
)
documents = st.builds(
    ParsedDocument, sentences | st.just(""), st.lists(elements, min_size=1, max_size=8).map(tuple)
)


@settings(max_examples=60, deadline=None)
@given(
    documents,
    st.sampled_from([32, 64, 256]),
    st.sampled_from([0, 8, 16]),
    st.sampled_from(["structure", "heading", "element", "tokens"]),
)
def test_every_character_is_in_a_chunk_and_no_chunk_exceeds_the_window(
    document, tokens, overlap, strategy
):
    chosen = ChunkSettings(tokens, overlap_tokens=overlap, strategy=strategy)
    chunks = chunk_document("a/some-file.md", document, TOKENIZER, chosen)
    text = document_text(document.elements)
    covered = set()
    for chunk in chunks:
        provenance = chunk.provenance
        covered.update(range(provenance.start, provenance.end))
        assert chunk.text.endswith(text[provenance.start : provenance.end])
        assert length(chunk.encoded_text) <= tokens
    assert not [c for n, c in enumerate(text) if n not in covered and not c.isspace()]
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    assert chunks == chunk_document("a/some-file.md", document, TOKENIZER, chosen)


def test_a_chunk_has_its_headings_and_is_encoded_with_them():
    chunks = chunked(
        Element("Care", "heading", 1),
        Element("Oil", "heading", 2),
        Element(SENTENCE * 12),
        Element("Grease", "heading", 2),
        Element(SENTENCE * 12),
        overlap_tokens=0,
    )
    assert [c.provenance.headings for c in chunks] == [("Care", "Oil"), ("Care", "Grease")]
    assert chunks[0].text.startswith("Care\n\nOil\n\n")
    assert chunks[0].prefix == "Manual"
    assert chunks[1].prefix == "Manual > Care"
    assert chunks[1].text.startswith("Grease")
    assert chunks[1].encoded_text.startswith("Manual > Care\nGrease")


def test_the_words_of_the_file_name_are_encoded_if_the_title_lacks_them():
    document = ParsedDocument("Form 10-K", (Element(SENTENCE),))
    (chunk,) = chunk_document("x/ACME_2022.pdf", document, TOKENIZER, ChunkSettings(256))
    assert chunk.prefix == "ACME 2022: Form 10-K"
    assert chunk.provenance.title == "Form 10-K"


def test_a_long_section_is_cut_between_sentences_with_an_overlap():
    chunks = chunked(Element("".join(f"Sentence number {n} ends here. " for n in range(120))))
    assert len(chunks) > 3
    for before, after in pairwise(chunks):
        assert before.text.endswith(".")
        assert after.text.startswith("Sentence number")
        shared = before.provenance.end - after.provenance.start
        assert 0 < length(before.text[-shared:]) <= 34


def test_every_piece_of_a_table_repeats_its_column_names():
    table = "Part | Torque\n" + "\n".join(f"XK-{n} | {n} Nm" for n in range(200))
    chunks = chunked(Element(table, "table"))
    assert len(chunks) > 5
    assert all(chunk.text.startswith("Part | Torque\n") for chunk in chunks)
    lines = Counter(line for chunk in chunks for line in chunk.text.splitlines())
    assert all(lines[f"XK-{n} | {n} Nm"] == 1 for n in range(200))


def test_no_chunk_crosses_a_page_end():
    chunks = chunked(Element(SENTENCE, page=1), Element(SENTENCE, page=2))
    assert [(c.provenance.page, c.provenance.page_end) for c in chunks] == [(1, 1), (2, 2)]


def test_small_sections_are_joined_under_their_common_heading():
    chunks = chunked(
        Element("Care", "heading", 1),
        Element("Oil", "heading", 2),
        Element("Yes."),
        Element("Grease", "heading", 2),
        Element("No."),
    )
    assert [c.text for c in chunks] == ["Care\n\nOil\n\nYes.\n\nGrease\n\nNo."]
    assert chunks[0].provenance.headings == ("Care",)


def test_a_chunk_whose_text_is_unchanged_keeps_its_id_when_it_moves():
    parts = [Element(f"Part {n}", "heading", 1) for n in range(3)]
    bodies = [Element(f"Body {n}. {SENTENCE * 6}") for n in range(3)]
    old = chunked(parts[1], bodies[1], parts[2], bodies[2])
    new = chunked(parts[0], bodies[0], parts[1], bodies[1], parts[2], bodies[2])
    assert [c.id for c in new[1:]] == [c.id for c in old]
    assert new[1].provenance.start > old[0].provenance.start


@pytest.mark.parametrize("tokens", [32, 64, 128, 256])
def test_no_chunk_is_needlessly_small(tokens):
    chunks = chunked(Element(SENTENCE * 200), tokens=tokens, overlap_tokens=0)
    average = sum(length(c.encoded_text) for c in chunks) / len(chunks)
    assert average > 0.6 * tokens


def test_no_chunk_is_contained_in_its_neighbour():
    parts = ["Long. " * 60 + "end. ", "Short one here. " * 3, "Longer. " * 70 + "end. "]
    chunks = chunked(Element("".join(parts)))
    for one, other in pairwise(chunks):
        assert other.provenance.end > one.provenance.end


class CountingTokenizer:
    """The encoder's tokenizer, which counts the characters that it is given."""

    def __init__(self):
        self.characters = 0

    def __getattr__(self, name):
        return getattr(TOKENIZER, name)

    def encode(self, text, **options):
        self.characters += len(text)
        return TOKENIZER.encode(text, **options)

    def encode_batch(self, texts, **options):
        self.characters += sum(map(len, texts))
        return TOKENIZER.encode_batch(texts, **options)


def test_a_line_of_a_quarter_megabyte_is_tokenised_a_few_times_at_most():
    text = "word " * 50_000
    tokenizer = CountingTokenizer()
    document = ParsedDocument("Manual", (Element(text),))
    assert len(chunk_document("manual.md", document, tokenizer, ChunkSettings(256))) > 125
    assert tokenizer.characters < 8 * len(text)


@pytest.mark.parametrize(
    ("strategy", "count"), [("structure", 2), ("heading", 3), ("element", 4), ("tokens", 1)]
)
def test_each_strategy_cuts_differently(strategy, count):
    chunks = chunked(
        Element("Care", "heading", 1),
        Element(SENTENCE * 11),
        Element(SENTENCE * 11),
        Element("Oil", "heading", 1),
        Element("Yes."),
        Element("Grease", "heading", 1),
        Element("No."),
        strategy=strategy,
    )
    assert len(chunks) == count


def test_a_chunk_has_the_boxes_of_its_lines():
    lines = tuple(LineBox(10 * n, 10 * n + 9, 50.0, 700.0 - n, 90.0, 709.0 - n) for n in range(100))
    text = "\n".join(f"line {n:04}" for n in range(100))
    chunks = chunked(Element(text, "lines", page=3, lines=lines), tokens=64, overlap_tokens=0)
    assert [box for chunk in chunks for box in chunk.provenance.boxes] == [
        (3, 50.0, 700.0 - n, 90.0, 709.0 - n) for n in range(100)
    ]
    for chunk in chunks:
        assert len(chunk.provenance.boxes) == len(chunk.text.splitlines())


def test_a_note_is_under_no_heading():
    end = Element("Leaving", "heading", 2)
    body = Element("Accounts close on the last day.")
    note = Element("Help: extension 250.", "note")
    chunks = chunked(
        end, body, note, Element("Badges are returned."), title="Accounts", strategy="heading"
    )
    assert [chunk.provenance.headings for chunk in chunks] == [("Leaving",), (), ("Leaving",)]
    assert [chunk.prefix for chunk in chunks][1] == ""


def test_each_piece_of_a_wide_table_has_the_column_names_that_fit():
    names = [f"Name of column {n}" for n in range(60)]
    rows = [" | ".join(names), *(" | ".join([f"K{n}", *"123"]) for n in range(100))]
    chunks = chunked(Element("\n".join(rows), "table"), tokens=128)
    with_rows = [chunk for chunk in chunks if " | 1 | 2 | 3" in chunk.text]
    assert len(with_rows) > 1
    for chunk in with_rows[1:]:
        assert chunk.text.startswith("Name of column 0 | Name of column 1 | ")
        assert length(f"{chunk.prefix}\n{chunk.text}") <= 128
