"""Reports as one HTML file that needs nothing else, no network either."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from migkit.viz.embedding import drawing, embedded

if TYPE_CHECKING:
    from migkit.viz.style import Figure

__all__ = ["Answered", "answered", "document", "figures", "paragraphs", "snippet", "table"]

_STYLE: Final = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --edge: #bbb; --field: #f3f3f3 }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --page: #161616; --edge: #555; --field: #242424 }
}
body { font: 15px/1.5 sans-serif; color: var(--text); background: var(--page); max-width: 960px; margin: 2em auto;
  padding: 0 1em }
.wide { overflow-x: auto } .answer > p { font-size: 1.15em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .9em .2em 0; text-align: left;
  vertical-align: top }
th { border-bottom: 1px solid var(--edge) } tr { break-inside: avoid }
pre { background: var(--field); padding: .7em 1em; overflow-x: auto } figure { margin: 1em 0; break-inside: avoid }
figcaption { font-weight: bold } h2 { break-after: avoid }
@media print {
  :root { color-scheme: light; --text: #222; --page: #fff; --edge: #999; --field: #f3f3f3 }
  body { max-width: none; margin: 0 } details:not([open]) { display: none } pre { white-space: pre-wrap }
}
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page from parts that are HTML; it follows the theme of its reader, and can be printed.

    Examples
    --------
    >>> document("a < b", ["<p>text</p>"]).count("a &lt; b")
    1
    """
    body = "\n".join(parts)
    scripts = drawing() if '<div class="figure"' in body else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n{scripts}\n</body></html>\n"
    )


def figures(titled: Sequence[tuple[str, Figure]]) -> list[str]:
    """Return figures below their titles."""
    return [
        f"<figure><figcaption>{html.escape(title)}</figcaption>\n{embedded(figure)}</figure>"
        for title, figure in titled
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of plain text as a table.

    Examples
    --------
    >>> table(["a"], [["<"]]).splitlines()[1]
    '<tr><td>&lt;</td></tr>'
    """
    top = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    below = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><tr>{top}</tr>\n{below}\n</table></div>'


def paragraphs(sentences: Iterable[str]) -> str:
    """Return each sentence as a paragraph of its own.

    Examples
    --------
    >>> paragraphs(["a & b"])
    '<p>a &amp; b</p>'
    """
    return "\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)


def snippet(place: str, text: str) -> str:
    """Return a text to paste, below where it belongs.

    Examples
    --------
    >>> snippet("a file", "x < 1")
    '<p>a file</p><pre>x &lt; 1</pre>'
    """
    return f"<p>{html.escape(place)}</p><pre>{html.escape(text.rstrip())}</pre>"


class Answered(NamedTuple):
    """The parts that the report of every answer has; each but the title is HTML.

    Attributes
    ----------
    title
        What was asked, in a few words.
    question
        In whole sentences.
    inputs
        What went in.
    assumptions
        What was assumed.
    answer
        The answer.
    pictures
        Figures, each with its title.
    risks
        What may make it come out otherwise.
    settings
        What to paste.
    """

    title: str
    question: str
    inputs: str
    assumptions: str
    answer: str
    pictures: Sequence[tuple[str, Figure]]
    risks: str
    settings: str


def answered(found: Answered) -> str:
    """Return the page of an answer: question and answer first, then pictures, risks, settings, and what went in."""
    from migkit import __version__

    sections = [
        ("Answer", f'<div class="answer">{found.answer}</div>'),
        ("Pictures", "\n".join(figures(found.pictures))),
        ("Risks", found.risks),
        ("Settings", found.settings),
        ("Inputs", found.inputs),
        ("Assumptions", found.assumptions),
    ]
    parts = [f"<h1>{html.escape(found.title)}</h1>", found.question]
    parts += [f"<h2>{title}</h2>\n{text}" for title, text in sections if text]
    return document(found.title, [*parts, f"<p><small>migkit {__version__}</small></p>"])
