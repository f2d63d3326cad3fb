"""LaTeX: its text without commands and comments; math and code are kept as written."""

import re
from pathlib import Path

from twotower.ingest.elements import Element, Kind, Limits, ParsedDocument
from twotower.ingest.loaders import tex_symbols as known
from twotower.ingest.loaders.text import read_text
from twotower.ingest.loaders.unstructured import parsed

_TOKEN = re.compile(
    r"(?P<comment>%[^\n]*(?:\n(?![ \t]*\n)[ \t]*)?)"
    r"|(?P<break>\n[ \t]*\n\s*)"
    r"|\\(?P<command>[A-Za-z@]+)\*?"
    r"|\\(?P<sign>.)"
    r"|(?P<math>\$\$?)"
    r"|(?P<text>[^\\%${}\[\]&\n]+|.)",
    re.DOTALL,
)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_COMMENT = re.compile(r"(?<!\\)%[^\n]*\n?")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_RAW_ARGUMENT = re.compile(r"\s*\{([^{}\n]*)\}")
_OPTIONAL = re.compile(r"\[(?:[^\[\]{}\n]|\n(?!\s*\n)|\{[^{}]{0,200}\}){0,300}\]")
_DEFINED = re.compile(r"\s*\\[A-Za-z@]+[^\\{\n]*")
_MACRO = re.compile(
    r"\\(?:(?:re|provide)?(?:new)?command\*?\s*\{?|def\s*)\\([A-Za-z]+)\}?\s*\{([^{}\\#$%\n]*)\}"
)
_ARGUMENT_MAX = 50_000  # characters
_VERB_MAX = 1000


def load_tex(path: Path, _limits: Limits) -> ParsedDocument:
    """Read LaTeX: sections are headings, and of the preamble only the title page is text.

    A macro of the document is replaced by its text if it has neither arguments nor commands.
    """
    text = read_text(path)
    reader = _Reader(text, preamble=r"\begin{document}" in text)
    reader.read()
    if reader.preamble:  # a comment only mentions the beginning of the document
        reader = _Reader(text, preamble=False)
        reader.read()
    return parsed(reader.title, iter(reader.elements))


class _Reader:
    """Goes through the text once.

    A group of braces that becomes an element of its own, such as a footnote, has a buffer of its
    own; other braces are only counted.
    """

    def __init__(self, text: str, *, preamble: bool) -> None:
        self.title = ""
        self.preamble = preamble  # whether the reader is before the beginning of the document
        self.elements: list[Element] = []
        self._text = text
        self._at = 0
        self._macros = dict(_MACRO.findall(text))
        self._groups: list[tuple[str, int]] = []  # kind ("": text of the group outside it), level
        self._headings = 0  # open groups that are headings
        self._buffers: list[list[str]] = [[]]
        self._after: list[Element] = []  # notes and captions: they follow their paragraph
        self._lists: list[int | None] = []  # number of the last item of each open list
        self._mark = ""
        self._label = -1  # number of open groups at the label of an item
        self._unclosed = 0  # no argument is searched before this position

    def read(self) -> None:
        """Collect the title and the elements."""
        while self._at < len(self._text):
            if accent := known.ACCENT.match(self._text, self._at):
                self._at = accent.end()
                self._add(known.accented(accent))
                continue
            token = _TOKEN.match(self._text, self._at)
            if token is None:  # a backslash at the end
                break
            self._at = token.end()
            if token["command"]:
                self._command(token["command"])
            elif token["sign"]:
                self._sign(token["sign"])
            elif token["math"]:
                self._math(token["math"], token["math"])
            elif token["break"]:
                self._break()
            elif token["text"]:
                self._plain(token["text"])
        while self._groups:
            self._close()
        self._flush()

    def _add(self, text: str) -> None:
        self._buffers[-1].append(text)

    def _plain(self, text: str) -> None:
        if text == "{":
            self._groups.append(("", 0))
        elif text == "}":
            if self._groups and self._groups[-1][0] != "table":
                self._close()
            if self._text.startswith("{", self._at):
                self._add(" ")  # between two arguments
        elif text == "]" and self._label == len(self._groups):
            self._label = -1
            self._add(":")
        elif text == "&" and ("table", 0) in self._groups[-8:]:
            self._add("\t")
        else:
            self._add(known.typeset(text))

    def _sign(self, sign: str) -> None:
        if sign in "([":
            self._math(f"\\{sign}", "\\)" if sign == "(" else "\\]")
            return
        self._add(known.PUNCTUATION.get(sign, sign))
        if sign == "\\":
            self._skip_optional()

    def _break(self) -> None:
        while self._headings:  # the closing brace is missing
            self._close()
        self._flush()

    def _command(self, name: str) -> None:
        if name in ("begin", "end"):
            if environment := _RAW_ARGUMENT.match(self._text, self._at):
                self._at = environment.end()
                (self._begin if name == "begin" else self._end)(environment[1].strip())
        elif name in self._macros and not self.preamble:
            self._add(self._macros[name])
        elif name in known.SYMBOLS:
            self._add(known.SYMBOLS[name])
            self._skip_space()
        elif name in ("item", "bibitem"):
            self._item(name)
        elif name in known.RAW_ARGUMENTS:
            self._raw_argument()
        elif name in ("verb", "lstinline"):
            self._verb()
        else:
            self._arguments(name)

    def _arguments(self, name: str) -> None:
        """Begin an element at the argument of a command, or skip what is not text."""
        if name in known.HEADINGS:
            self._flush()
            self._open("title" if name == "title" else "heading", known.HEADINGS[name])
        elif name in known.NOTES:
            self._open("note")
        elif name in known.PARAGRAPHS:
            self._open("text")
        elif "cite" in name:  # also \parencite and others
            self._skip_optional()
            self._add("[")
            self._raw_argument()
            self._add("]")
        else:
            self._skip_optional()
            for _ in range(known.HIDDEN_ARGUMENTS.get(name, 0)):
                self._skip_argument()

    def _begin(self, name: str) -> None:
        plain = name.rstrip("*")
        if name == "document":
            self.preamble = False
            self._buffers[0] = []
        elif name == "comment" or plain in known.VERBATIM:
            self._verbatim(name)
        elif plain in known.MATHS:
            self._math("", rf"\end{{{name}}}")
        else:
            self._flush()
            if plain in known.FLOATS or plain in known.LISTS:
                self._skip_optional()
            for _ in range(known.ENVIRONMENT_ARGUMENTS.get(name, 0)):
                self._skip_argument()
            if plain in known.TABLES:
                self._groups.append(("table", 0))
                self._buffers.append([])
            elif plain in known.LISTS:
                self._lists.append(0 if plain == "enumerate" else None)
            elif name == "frame":
                self._open("heading", known.HEADINGS["frametitle"])

    def _end(self, name: str) -> None:
        plain = name.rstrip("*")
        if name == "document":
            self._at = len(self._text)
        elif plain in known.TABLES:
            while ("table", 0) in self._groups[-8:]:
                if self._close() == "table":
                    break
        else:
            self._flush()
            if plain in known.LISTS and self._lists:
                self._lists.pop()

    def _open(self, kind: str, level: int = 0) -> None:
        """Begin an element of its own if an argument follows."""
        self._skip_optional()
        self._skip_space()
        if self._text.startswith("{", self._at):
            self._at += 1
            self._groups.append((kind, level))
            self._headings += kind in ("heading", "title")
            self._buffers.append([])

    def _close(self) -> str:
        """End the innermost group, and return its kind."""
        kind, level = self._groups.pop()
        if not kind:
            return kind
        text = "".join(self._buffers.pop())
        if kind == "table":
            rows = (_cells(row) for row in text.split("\n"))
            text = "\n".join(row for row in rows if row)
            self._append(self.elements, text, "table" if " | " in text else "lines")
        elif kind in ("heading", "title"):
            self._headings -= 1
            text = " ".join(text.split())
            if kind == "title":
                self.title = text
            self._append(self.elements, text, "heading", level)
        else:
            self._append(self._after, _collapsed(text), "note" if kind == "note" else "text")
        return kind

    @staticmethod
    def _append(elements: list[Element], text: str, kind: Kind, level: int = 0) -> None:
        if text:
            elements.append(Element(text, kind, level))

    def _flush(self) -> None:
        """End the paragraph; inside a group with a buffer of its own, end the line."""
        if len(self._buffers) > 1:
            self._add("\n")
            return
        text = _collapsed("".join(self._buffers[0]))
        self._buffers[0] = []
        self._label = -1
        if text and not self.preamble:
            self.elements.append(Element(self._mark + text, "item" if self._mark else "text"))
            self._mark = ""
        self.elements += self._after
        self._after = []

    def _item(self, name: str) -> None:
        self._flush()
        mark = "- "
        if self._lists and self._lists[-1] is not None:
            self._lists[-1] += 1
            mark = f"{self._lists[-1]}. "
        if name == "bibitem":
            self._skip_argument()
        self._skip_space()
        if self._text.startswith("[", self._at):
            self._at += 1
            self._label = len(self._groups)
        if len(self._buffers) > 1:
            self._add(mark)
        else:
            self._mark = mark

    def _math(self, opening: str, closing: str) -> None:
        r"""Keep a formula as it is written; one in a line of text ends at the paragraph's end."""
        limit = len(self._text)
        if (inline := closing in ("$", r"\)")) and (end := _PARAGRAPH.search(self._text, self._at)):
            limit = end.start()
        end_at = self._text.find(closing, self._at, limit)
        while closing == "$" and end_at > 0 and self._text[end_at - 1] == "\\":
            end_at = self._text.find(closing, end_at + 1, limit)
        content = _COMMENT.sub("", self._text[self._at : end_at if end_at >= 0 else limit])
        content = " ".join(content.split())
        self._add(f"{opening}{content}{closing}" if inline else f"\n{content}\n")
        self._at = end_at + len(closing) if end_at >= 0 else limit

    def _verbatim(self, name: str) -> None:
        """Keep an environment as it is written, or skip it if it is a comment."""
        self._skip_optional()
        if name == "minted":
            self._raw_argument(shown=False)
        closing = rf"\end{{{name}}}"
        end = self._text.find(closing, self._at)
        end = end if end >= 0 else len(self._text)
        content = self._text[self._at : end].strip("\n")
        self._at = end + len(closing)
        if name == "comment" or self.preamble:
            return
        self._flush()
        if len(self._buffers) > 1:
            self._add(content)
        else:
            self._append(self.elements, content.rstrip(), "lines")

    def _verb(self) -> None:
        self._skip_optional()
        sign = self._text[self._at : self._at + 1]
        closing = "}" if sign == "{" else sign
        end = self._text.find(closing, self._at + 1, self._at + _VERB_MAX) if sign else -1
        if end >= 0:
            self._add(self._text[self._at + 1 : end])
            self._at = end + 1

    def _raw_argument(self, *, shown: bool = True) -> None:
        if argument := _RAW_ARGUMENT.match(self._text, self._at):
            self._at = argument.end()
            self._add(
                f"{argument[1]} "
                if shown and self._text.startswith("{", self._at)
                else argument[1]
                if shown
                else ""
            )

    def _skip_space(self) -> None:
        """Skip white space up to the end of the paragraph."""
        lines = 0
        while (sign := self._text[self._at : self._at + 1]) in (" ", "\t", "\n") and sign:
            lines += sign == "\n"
            if lines > 1:
                self._at -= 1
                return
            self._at += 1

    def _skip_optional(self) -> None:
        while optional := _OPTIONAL.match(self._text, self._at):
            self._at = optional.end()

    def _skip_argument(self) -> None:
        """Skip an argument in braces, or the name of a command; also options before it."""
        self._skip_optional()
        if name := _DEFINED.match(self._text, self._at):
            self._at = name.end()
            return
        self._skip_space()
        if not self._text.startswith("{", self._at) or self._at < self._unclosed:
            return
        depth = 0
        for brace in _BRACE.finditer(self._text, self._at, self._at + _ARGUMENT_MAX):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                self._at = brace.end()
                return
        self._unclosed = self._at + _ARGUMENT_MAX


def _cells(row: str) -> str:
    cells = [" ".join(cell.split()) for cell in row.split("\t")]
    return " | ".join(cells).rstrip(" |")


def _collapsed(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
