"""Running headers and footers of a PDF: each is read once, and page numbers not at all.

A line is one of them only if it stands at the same height of many pages with the same text, apart
from a page number. What is in doubt stays: a repeated line is noise, a lost one is a loss.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from twotower.ingest.loaders.pdf.lines import Line

_MARGIN = 0.09  # share of the page's height that running headers and footers take, at each end
_SHARE = 0.4  # minimum share of the pages; odd and even pages can have lines of their own
_HEIGHT = 3.0  # points by which the height of a running line may differ between pages
_ALIGNED = 3.0  # points by which the cells of one column may begin apart
_FRONT_PAGES = 30  # maximum number of pages before page 1, or of pages missing from the file
_PART = re.compile(r"\s*[|·•–—]\s*|\s+-\s+|\s{2,}")  # noqa: RUF001 - dashes are meant
# "Page" in languages that people write in, with its usual abbreviations.
_PAGE = (
    r"pages?|pag\.?|pp?\.|pg\.?|seiten?|s\.|página|pagina|pág\.?|blz\.?|bladzijde|sida|side|sivu|"
    r"strana|strona|stránka|str\.?|oldal|stran|lehekülg|lappuse|puslapis|страница|сторінка|стр\.?|"
    r"sayfa|σελίδα|עמוד|صفحة|الصفحة|trang|halaman|หน้า|第|ページ|페이지|쪽|頁|页"
)
_COUNTER = re.compile(
    rf"\W*(?:(?:{_PAGE})\s*)?(\d{{1,4}})\s*(?:{_PAGE})?\s*"
    rf"(?:(?:/|[^\W\d_]{{1,4}}|\()\s*(?:{_PAGE})?\s*\d{{1,4}}\s*(?:{_PAGE})?)?\W*",
    re.IGNORECASE,
)


def without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop the repetitions of running lines, and the lines that hold only a page number.

    A page that would be left empty keeps all of its lines.
    """
    found: dict[str, list[Line]] = defaultdict(list)
    for page in pages:
        for line in _marginal(page):
            if not _begins_columns(line, page):
                found[_pattern(line)].append(line)
    enough = max(2, len(pages) * _SHARE)
    dropped = set()
    for pattern, lines in found.items():
        for group in _by_height(lines):
            if len({line.page for line in group}) >= enough:
                named = any(character.isalnum() for character in _without_counters(pattern))
                dropped |= {id(line) for line in group[named:]}
    remaining = []
    for page in pages:
        rest = [line for line in page if id(line) not in dropped]
        remaining.append(rest or list(page))
    return remaining


def _by_height(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Divide lines of one pattern by their height on the page, each part in page order."""
    group: list[Line] = []
    for line in sorted(lines, key=lambda line: line.top):
        if group and line.top - group[-1].top > _HEIGHT:
            yield sorted(group, key=lambda line: line.page)
            group = []
        group.append(line)
    yield sorted(group, key=lambda line: line.page)


def _pattern(line: Line) -> str:
    """Return the text of a line with its page number replaced by the number's distance to the page.

    A number is a page number if it stands alone or with a word for "page" in its part of the line,
    and differs from the page by at most `_FRONT_PAGES`. Other numbers stay: an invoice has one at
    the top of every page, and so have titles such as "Step 3".
    """
    parts = []
    for part in _PART.split(line.text):
        counter = _COUNTER.fullmatch(part)
        offset = int(counter[1]) - line.page if counter else 0
        near = counter is not None and abs(offset) <= _FRONT_PAGES
        parts.append(f"#{offset}" if near else part.casefold())
    return "|".join(parts)


def _without_counters(pattern: str) -> str:
    return "".join(part for part in pattern.split("|") if not part.startswith("#"))


def _begins_columns(line: Line, page: Sequence[Line]) -> bool:
    """Whether a line has cells above or below those of the next line: it belongs to a table."""
    if not line.tabular:
        return False
    near = [
        other
        for other in page
        if other.tabular
        and other is not line
        and abs(other.top - line.top) < 4 * line.size  # a row of several lines, and white space
    ]
    return any(_columns_shared(line, other) > 1 for other in near)


def _columns_shared(one: Line, other: Line) -> int:
    """Count the cells of a line that begin or end where a cell of the other line does."""
    return sum(
        any(
            abs(cell.left - its.left) < _ALIGNED or abs(cell.right - its.right) < _ALIGNED
            for its in other.cells
        )
        for cell in one.cells
    )


def _marginal(page: Sequence[Line]) -> list[Line]:
    """List the lines within the top or bottom margin of the printed area."""
    if not page:
        return []
    low = min(line.bottom for line in page)
    high = max(line.top for line in page)
    band = (high - low) * _MARGIN
    return [line for line in page if line.bottom < low + band or line.top > high - band]
