"""Commands of LaTeX by what becomes of them in text."""

import re
import unicodedata

HEADINGS = {"title": 1, "part": 2, "chapter": 3, "section": 4, "subsection": 5}
HEADINGS |= {"subsubsection": 6, "paragraph": 7, "subparagraph": 8, "frametitle": 5}
NOTES = frozenset({"footnote", "footnotetext", "endnote", "thanks", "marginpar", "todo"})
PARAGRAPHS = frozenset({"caption", "author", "date", "subtitle", "framesubtitle", "institute"})

# By the number of arguments that are not text, before those that are.
_ONE = frozenset(
    {"label", "usepackage", "documentclass", "bibliographystyle", "bibliography", "addbibresource"}
    | {"vspace", "hspace", "pagestyle", "thispagestyle", "includegraphics", "input", "include"}
    | {"pagenumbering", "hypersetup", "color", "textcolor", "cline", "cmidrule", "colorbox"}
    | {"geometry", "graphicspath", "hyphenation", "index", "usetikzlibrary", "phantom", "rowcolor"}
    | {"cellcolor", "columncolor", "scalebox", "parbox", "raisebox", "rotatebox", "hypertarget"}
    | {"hyperlink", "foreignlanguage"}
)
_TWO = frozenset(
    {"setlength", "addtolength", "setcounter", "addtocounter", "newcommand", "renewcommand"}
    | {"providecommand", "newtheorem", "def", "multicolumn", "multirow", "rule", "fontsize"}
    | {"resizebox"}
)
_THREE = frozenset({"newenvironment", "renewenvironment", "definecolor"})
HIDDEN_ARGUMENTS = dict.fromkeys(_ONE, 1) | dict.fromkeys(_TWO, 2) | dict.fromkeys(_THREE, 3)

# One argument that has neither commands nor comments in it.
RAW_ARGUMENTS = frozenset({"url", "href", "path", "nolinkurl"})

# Environments: those with arguments that are not text, and those that are kept as written.
ENVIRONMENT_ARGUMENTS = {"tabularx": 2, "tabular*": 2, "tabulary": 2, "thebibliography": 1}
ENVIRONMENT_ARGUMENTS |= dict.fromkeys(
    ("tabular", "longtable", "array", "tabu", "minipage", "multicols", "column", "adjustbox"), 1
)
ENVIRONMENT_ARGUMENTS |= {"wrapfigure": 2, "wraptable": 2}
TABLES = frozenset({"tabular", "tabularx", "tabulary", "longtable", "tabu"})
LISTS = frozenset({"itemize", "enumerate", "description", "thebibliography", "compactitem"})
FLOATS = frozenset({"figure", "table", "sidewaystable", "sidewaysfigure"})
VERBATIM = frozenset({"verbatim", "Verbatim", "lstlisting", "minted", "alltt"})
MATHS = frozenset(
    {"equation", "align", "alignat", "gather", "multline", "eqnarray", "displaymath", "math"}
    | {"flalign", "IEEEeqnarray"}
)

SYMBOLS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å",
    "AA": "Å", "l": "ł", "L": "Ł", "th": "þ", "TH": "Þ", "dh": "ð", "DH": "Ð", "dj": "đ",
    "i": "\u0131", "j": "\u0237", "S": "§", "P": "¶", "copyright": "©", "pounds": "£", "euro": "€",
    "EUR": "€", "texteuro": "€", "dots": "…", "ldots": "…", "textellipsis": "…",
    "textdegree": "°", "degree": "°", "textregistered": "®", "texttrademark": "™",
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textunderscore": "_",
    "textbar": "|", "textless": "<", "textgreater": ">", "textbullet": "•", "textmu": "µ",
    "textendash": "\u2013", "textemdash": "—", "textquotesingle": "'", "LaTeX": "LaTeX",
    "TeX": "TeX", "quad": " ", "qquad": " ", "space": " ", "newline": "\n", "linebreak": "\n",
    "par": "\n", "and": "\n", "tabularnewline": "\n", "glqq": "„", "grqq": "“", "flqq": "«",
    "frqq": "»",
}  # fmt: skip
PUNCTUATION = {"\\": "\n", " ": " ", "\n": " ", ",": " ", ";": " ", ":": " ", "!": "", "-": ""}
PUNCTUATION |= {"/": "", "@": ""}
_ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304"}
_ACCENTS |= {".": "\u0307", '"': "\u0308", "u": "\u0306", "r": "\u030a", "H": "\u030b"}
_ACCENTS |= {"v": "\u030c", "d": "\u0323", "c": "\u0327", "k": "\u0328", "b": "\u0331"}

_LETTER = r"\\[ij]\b|\w"
ACCENT = re.compile(
    r"""\\(?:([`'^~=."])[ ]*|([urHvdckb])(?:[ ]+|(?=[{\\])))"""
    rf"(?:\{{ ?({_LETTER})? ?\}}|({_LETTER}))"
)
_TYPED = {"``": "“", "''": "”", "---": "—", "--": "\u2013", "~": " "}
_TYPED_SIGN = re.compile("|".join(_TYPED))


def accented(accent: re.Match[str]) -> str:
    r"""Return the letter of an accent command, such as ``\"u`` or ``\c{c}``."""
    letter = (accent[3] or accent[4] or "").removeprefix("\\")
    if not letter:
        return accent[1] or ""
    return unicodedata.normalize("NFC", letter + _ACCENTS[accent[1] or accent[2]])


def typeset(text: str) -> str:
    """Return text with the quotation marks and dashes that LaTeX prints, in one line."""
    return re.sub(r"\s+", " ", _TYPED_SIGN.sub(lambda sign: _TYPED[sign[0]], text))
