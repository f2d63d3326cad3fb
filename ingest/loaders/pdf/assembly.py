"""Put the characters of a PDF page together to lines, by where they stand.

pdfium divides a page into lines, too. But it breaks some rows of a table in two, breaks lines at
superscripts, and continues after a word that is cut at the end of a line without a break.
"""

import ctypes
import re
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as pdfium

from twotower.ingest.loaders.note_marks import is_note_mark
from twotower.ingest.loaders.pdf.lines import BULLETS, HYPHEN, Cell, Line, cell_text, row_text

# Lengths are in em: multiples of the font size of a line.
_CELL_GAP = 1.8  # between two characters of different cells
_BACK = -0.3  # by which characters of one line may overlap
_LEVEL = 0.15  # by which the baselines of one line may differ
_LOW = -0.4  # below the baseline: no descender reaches there
_RAISED = 0.65  # by which a superscript or subscript is shifted at most
_NEXT = 0.6  # between a word and its superscript at most
_SMALLER = 0.85  # size of a superscript at most
_BOLD_NAME = re.compile(r"bold|black|heavy|semib|demi", re.IGNORECASE)
_HYPHENS = (0x02, 0xFFFE)  # pdfium's marks for a hyphen at the end of a line
_LABEL = re.compile(rf"([{BULLETS}]|(\w+ )?\(?(\d{{1,2}}[A-Za-z]?|[a-z]|[ivx]+)[.)])$")
_CUT = re.compile(r"(?<=[^\W_])[-\u2010\u00ad]$")
_SUPERSCRIPTS = str.maketrans("0123456789+-−n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ")  # noqa: RUF001 - the minus is meant

Box = tuple[float, float, float, float]  # left, right, bottom and top, in points


class _Glyphs:
    """The places and sizes of a page's characters, in points, by their index."""

    def __init__(self, text_page: pypdfium2.PdfTextPage) -> None:
        self.page = text_page
        self._numbers = tuple(ctypes.c_double() for _ in range(4))

    def box(self, index: int) -> Box:
        """Return the box of a character."""
        left, right, bottom, top = self._numbers
        pdfium.FPDFText_GetCharBox(self.page, index, left, right, bottom, top)
        return left.value, right.value, bottom.value, top.value

    def baseline(self, index: int) -> float:
        """Return the height on which a character stands."""
        x, y, *_ = self._numbers
        pdfium.FPDFText_GetCharOrigin(self.page, index, x, y)
        return y.value

    def size(self, index: int) -> float:
        """Return the font size as drawn: a font of size 1 can be scaled up by its matrix."""
        matrix = pdfium.FS_MATRIX()
        size = float(pdfium.FPDFText_GetFontSize(self.page, index))
        if pdfium.FPDFText_GetMatrix(self.page, index, matrix):
            size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
        return size or 1.0

    def bold(self, index: int) -> bool:
        """Whether the name of a character's font says that it is bold."""
        name = ctypes.create_string_buffer(128)
        flags = ctypes.c_int()
        pdfium.FPDFText_GetFontInfo(self.page, index, name, len(name), flags)
        return bool(_BOLD_NAME.search(name.value.decode("utf-8", "replace")))


def page_lines(page: pypdfium2.PdfPage, number: int) -> Iterator[Line]:
    """Yield the lines of a page in content order."""
    if page.get_height() <= 0:
        return
    glyphs = _Glyphs(page.get_textpage())
    builder: _LineBuilder | None = None
    broken = False
    for index in range(glyphs.page.count_chars()):
        code = pdfium.FPDFText_GetUnicode(glyphs.page, index)
        character = HYPHEN if code in _HYPHENS else _character(code)
        if code in (10, 13):
            broken = True
        elif character.isspace():
            if builder:
                builder.text += " "
        else:
            box = glyphs.box(index)
            if builder is None or not builder.takes(index, box[0], broken):
                if builder:
                    yield builder.line(number)
                builder = _LineBuilder(glyphs, index, box)
            builder.add(index, character, box)
            broken = False
    if builder:
        yield builder.line(number)


class _LineBuilder:
    """Collects the characters of a line, and divides them into cells."""

    def __init__(self, glyphs: _Glyphs, first: int, box: Box) -> None:
        self.text = ""  # of the last cell
        self._glyphs = glyphs
        self._first = first
        self._size = glyphs.size(first)
        self._baseline = glyphs.baseline(first)
        self._cells: list[Cell] = []
        self._begin = self._end = box[0]
        _, _, self._low, self._high = box
        self._raised: int | None = None  # offset in the text of a superscript

    def takes(self, index: int, left: float, broken: bool) -> bool:
        """Whether a character belongs to this line; ``broken`` if pdfium put a break before it."""
        if not broken and not self.text.endswith(HYPHEN):
            return True
        rise = abs(self._glyphs.baseline(index) - self._baseline) / self._size
        step = (left - self._end) / self._size
        if rise <= _LEVEL:
            return step >= _BACK
        size = self._glyphs.size(index)
        differ = min(size, self._size) <= max(size, self._size) * _SMALLER
        rise = rise * self._size / max(size, self._size)
        return differ and rise <= _RAISED and _BACK <= step <= _NEXT

    def add(self, index: int, character: str, box: Box) -> None:
        """Add a character; one that is higher and smaller belongs to a superscript."""
        left, right, bottom, top = box
        raised = not _LOW < (bottom - self._baseline) / self._size < _LEVEL and self._raises(index)
        gap = left - self._end
        if gap > _CELL_GAP * self._size and (self._cells or not _LABEL.match(self.text.strip())):
            self._end_cell()
            self._begin = left
        if raised and self._raised is None:
            self._raised = len(self.text)
        elif not raised:
            self._end_superscript()
        self.text += character
        self._end = right
        self._low, self._high = min(self._low, bottom), max(self._high, top)

    def _raises(self, index: int) -> bool:
        """Whether a character is part of a superscript; a line can begin with one."""
        baseline = self._glyphs.baseline(index)
        rise = (baseline - self._baseline) / self._size
        if abs(rise) <= _LEVEL:
            return False
        size = self._glyphs.size(index)
        if size * _SMALLER >= self._size and is_note_mark(self.text.strip(), "."):
            self._size, self._baseline = size, baseline
            self.text += " "
        return rise > 0 and size <= self._size * _SMALLER

    def _end_superscript(self) -> None:
        """Put a space before the mark of a note, and write raised digits of a number as such."""
        if self._raised is None:
            return
        before, mark = self.text[: self._raised], self.text[self._raised :]
        self._raised = None
        if is_note_mark(mark.strip(), before):
            self.text = f"{before} {mark}"
        elif before[-1:].isdigit():
            self.text = before + mark.translate(_SUPERSCRIPTS)

    def _end_cell(self) -> None:
        self._end_superscript()
        if text := cell_text(self.text):
            self._cells.append(Cell(text, self._begin, self._end))
        self.text = ""

    def line(self, number: int) -> Line:
        """Return the line on the page with this number."""
        if not self._cells:
            self.text = _CUT.sub(HYPHEN, self.text.rstrip())
        self._end_cell()
        cells = self._cells or [Cell("", self._begin, self._end)]
        return Line(
            text=row_text(cells),
            left=min(cell.left for cell in cells),
            bottom=self._low,
            right=max(cell.right for cell in cells),
            top=self._high,
            size=self._size,
            weight=pdfium.FPDFText_GetFontWeight(self._glyphs.page, self._first),
            bold=self._glyphs.bold(self._first),
            cells=tuple(cells),
            page=number,
        )


def _character(code: int) -> str:
    """Return the character of a code, or a space if it is none, such as a surrogate."""
    try:
        return chr(code).encode("utf-8").decode("utf-8") if code else " "
    except (ValueError, OverflowError):
        return " "
