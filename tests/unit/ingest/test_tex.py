import re

import pytest

TEX = r"""\documentclass[a4paper]{article} % gonecomment
\usepackage{gonepackage}
\newcommand{\company}{markcompany Ltd}
\newcommand{\gone}[1]{gonebody #1}
\title{marktitle of \emph{markemph}}
\author{Ann markauthor\thanks{markthanks}}
gonetext in the preamble
\begin{document}
\maketitle
\begin{abstract}markabstract here.\end{abstract}
\section[goneshort]{marksection \texorpdfstring{$x$}{x}} \label{gonelabel}
Gr\"u\ss e, caf\'{e}, na\"{\i}ve, \c{c}a, \v{s}, \AA rhus; 50\,\% of \company.
``markquoted'' and markdash---markbehind~marktie.\footnote{A markfootnote with
\textbf{markbold}.} Math $E = mc^2 \label{x}$ and \(a+b\). % gonetoo
% gone

\subsection*{marksub}
\begin{itemize}[noitemsep]
  \item markfirst
  \item[marklabel] marksecond
  \begin{enumerate} \item markinner \item markother \end{enumerate}
\end{itemize}
\begin{figure}[htbp]\centering\includegraphics[width=3cm]{gonefile}
  \caption{markcaption of it}\end{figure}
\begin{table}\begin{tabular}{l|r@{}}\hline Part & Nm \\[2pt] \hline
markcell & \multicolumn{1}{c}{40} \\ \end{tabular}\end{table}
\begin{equation*} markmath_{1} = \frac{a}{b} % gonemath
\end{equation*}
\begin{verbatim}
markcode % markpercent \section{markraw}
\end{verbatim}
\begin{comment} gonecommented \end{comment}
\href{http://a.example/x_y%20markurl}{marklink} \url{http://markbare.example}
\verb|markverb_%| \unknown{markunknown} \textcolor{red}{markred}\cite{markkey}
\begin{thebibliography}{9} \bibitem{gonebib} markreference, 1999. \end{thebibliography}
\end{document}
goneafter
"""


def test_every_text_of_a_page_is_kept_and_no_command(parsed):
    document = parsed("a.tex", TEX)
    text = "\n".join(element.text for element in document.elements)
    assert set(re.findall(r"mark\w+", TEX)) - set(re.findall(r"mark\w+", text)) == set()
    assert "gone" not in text
    assert "\\textbf" not in text
    assert document.title == "marktitle of markemph"
    for phrase in (
        "Grüße, café, naïve, ça, š, Århus; 50 % of markcompany Ltd.",
        "“markquoted” and markdash—markbehind marktie.",
        r"Math $E = mc^2 \label{x}$ and \(a+b\).",
        r"markmath_{1} = \frac{a}{b}",
        "markcode % markpercent \\section{markraw}",
        "http://a.example/x_y%20markurl marklink",
    ):
        assert phrase in text


def test_structure(parsed):
    pairs = [(e.kind, e.text) for e in parsed("a.tex", TEX).elements]
    for pair in (
        ("heading", "marksub"),
        ("note", "A markfootnote with markbold."),
        ("item", "- markfirst"),
        ("item", "- marklabel: marksecond"),
        ("item", "2. markother"),
        ("text", "markcaption of it"),
        ("table", "Part | Nm\nmarkcell | 40"),
        ("item", "- markreference, 1999."),
    ):
        assert pair in pairs
    headings = [e for e in parsed("a.tex", TEX).elements if e.kind == "heading"]
    assert [heading.level for heading in headings] == [1, 4, 5]


def test_a_part_without_preamble(pairs):
    assert pairs("a.tex", "One % c\n% c\n\nTwo\n\\section{Three}\nFour") == [
        ("text", "One"),
        ("text", "Two"),
        ("heading", "Three"),
        ("text", "Four"),
    ]


@pytest.mark.parametrize("cut", range(400, len(TEX), 61))
def test_a_file_that_was_cut_keeps_its_text(parsed, cut):
    text = "\n".join(element.text for element in parsed("a.tex", TEX[:cut] + " \n").elements)
    if cut > TEX.index("Math"):
        assert "markbold" in text
        assert "markauthor" in text


def test_a_beginning_that_only_a_comment_mentions(pairs):
    assert pairs("a.tex", "% no \\begin{document} here\nOne") == [("text", "One")]


def test_a_missing_brace_does_not_make_a_heading_of_the_rest(pairs):
    assert pairs("a.tex", "\\section{One\n\nTwo {three\n\nFour") == [
        ("heading", "One"),
        ("text", "Two three"),
        ("text", "Four"),
    ]


@pytest.mark.parametrize(
    "part",
    [r"\label{", r"\footnote{", r"\(", "$ ", "{", r"\item[", r"\begin{tabular}{", r"\verb|x ",
     r"\[", r"\section{", r"\begin{verbatim}", "\\a[\n", "}", r"\newcommand{", "%\n\n",
     r"\end{tabular}", "\\'", "\\'{   ", r"\url{", r"\def  "],
)  # fmt: skip
def test_time_is_linear(parsed, part):
    assert parsed("a.tex", "x " + part * 40_000)
