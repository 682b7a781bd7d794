"""Reports as one HTML file that needs nothing else, no network either."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["document", "figures", "table"]

_STYLE: Final = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 960px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .9em .2em 0; text-align: left }
th { border-bottom: 1px solid #999 } td.n { text-align: right; font-variant-numeric: tabular-nums }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page from parts that are HTML.

    Examples
    --------
    >>> document("a < b", ["<p>text</p>"]).count("a &lt; b")
    1
    """
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def figures(titled: Sequence[tuple[str, Figure]], *, first: bool = True) -> list[str]:
    """Return figures below their titles; the first one of a page carries the library that draws all of them.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> drawn = figures([("One guest", predict(guest=Guest(memory_bytes=2**28)).plot())])
    >>> drawn[0].startswith("<h2>One guest</h2>")
    True
    """
    return [
        f"<h2>{html.escape(title)}</h2>\n"
        + figure.to_html(full_html=False, include_plotlyjs=first and at == 0, config={"showSendToCloud": False})
        for at, (title, figure) in enumerate(titled)
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
    return f"<table><tr>{top}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"
