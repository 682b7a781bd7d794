"""Facts and rows as tables of a page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["alert", "facts", "paragraphs", "rows"]

_TABLE = 'style="max-width:100%;line-height:1.4"'
_NAME = 'style="text-align:left;vertical-align:top;padding:1px 12px 1px 0;white-space:nowrap"'
_TEXT = 'style="text-align:left;vertical-align:top;padding:1px 12px 1px 0;overflow-wrap:anywhere"'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a word and a sentence; a word that repeats is written once.

    Examples
    --------
    >>> facts([("time", "5 s"), ("time", "one reading")]).count("time")
    1
    """
    last, lines = "", []
    for name, text in pairs:
        shown, last = ("" if name == last else name), name
        lines.append(f"<tr><th {_NAME}>{html.escape(shown)}</th><td {_TEXT}>{html.escape(text)}</td></tr>")
    return f"<table {_TABLE}>{''.join(lines)}</table>"


def rows(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table with a header; empty where there are no lines.

    Examples
    --------
    >>> rows(["change", "effect"], [["a cap", "ends at 5 s"]]).count("<tr>")
    2
    >>> rows(["change"], [])
    ''
    """
    body = "".join(f"<tr>{''.join(f'<td {_TEXT}>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    head = "".join(f"<th {_NAME}>{html.escape(name)}</th>" for name in header)
    return f"<table {_TABLE}><tr>{head}</tr>{body}</table>" if body else ""


def paragraphs(sentences: Sequence[str]) -> str:
    """Return sentences, the first one in bold.

    Examples
    --------
    >>> paragraphs(["It converges.", "After 5 s."])
    '<b>It converges.</b> After 5 s.'
    """
    first, *others = (html.escape(one) for one in sentences) if sentences else ("",)
    return " ".join([f"<b>{first}</b>", *others])


def alert(text: str) -> str:
    """Return what went wrong, as a screen reader is told at once.

    Examples
    --------
    >>> alert("no such file")
    '<div class="migkit-complaint" role="alert">no such file</div>'
    """
    return f'<div class="migkit-complaint" role="alert">{html.escape(text)}</div>'
