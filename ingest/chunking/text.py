"""The text of a document as one string, and the boxes of its lines on the pages."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from twotower.ingest.elements import Element
from twotower.retrieval.vocabulary.documents import Box


def document_text(elements: Sequence[Element]) -> str:
    """Return the text that the offsets of chunks refer to.

    A blank line separates two elements; a line break separates two items of a list.
    """
    return "".join(text for text, _ in separated(elements))


def separated(elements: Sequence[Element]) -> Iterator[tuple[str, Element]]:
    """Yield each element with its text and the separator that follows it."""
    for index, element in enumerate(elements):
        following = elements[index + 1] if index + 1 < len(elements) else None
        if following is None:
            yield element.text, element
        elif element.kind == following.kind == "item":
            yield element.text + "\n", element
        else:
            yield element.text + "\n\n", element


def line_boxes(elements: Sequence[Element]) -> list[tuple[int, int, Box]]:
    """List the start and end offset and the box of every line, in document order."""
    boxes = []
    offset = 0
    for text, element in separated(elements):
        for line in element.lines:
            corners = (line.left, line.bottom, line.right, line.top)
            box = (element.page or 1, *corners)
            boxes.append((offset + line.start, offset + line.end, box))
        offset += len(text)
    return boxes


def boxes_within(boxes: Sequence[tuple[int, int, Box]], passage: slice) -> Iterator[Box]:
    """Yield the boxes of the lines that a passage overlaps."""
    first = bisect_left(boxes, passage.start, key=lambda box: box[1] - 1)
    for start, _, box in boxes[first:]:
        if start >= passage.stop:
            return
        yield box


def trimmed(text: str, start: int, end: int) -> slice:
    """Return the slice without the white space at its two ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return slice(start, end)
