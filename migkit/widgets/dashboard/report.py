"""What an explorer shows, as one HTML page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterator

import ipywidgets as ipw

from migkit import __version__, viz
from migkit.reports import page
from migkit.viz.embedding import embedded
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel

__all__ = ["report"]


def report(title: str, panel: Panel) -> str:
    """Return an explorer's controls, sentences, tables and figures as a whole page, with the Python behind it.

    Examples
    --------
    >>> from migkit.widgets import Explorer
    >>> made = report("A guest", Explorer())
    >>> made.startswith("<!doctype html>"), "<td>working set</td><td>512 MiB</td>" in made
    (True, True)
    """
    parts = [f"<h1>{html.escape(title)}</h1>", page.table(["asked", ""], _asked(panel))]
    for part in panel.widget.children[1:]:
        parts += _shown(part)
    if panel.code():
        parts.append(f"<h2>The same in Python</h2>\n<pre>{html.escape(panel.code())}</pre>")
    return page.document(f"migkit: {title}", [*parts, f"<p>migkit {__version__}</p>"])


def _asked(panel: Panel) -> Iterator[tuple[str, str]]:
    for name, field in panel.fields.items():
        value = getattr(field.control, "label", None) or getattr(field.control, "value", "")
        yield name, value[0] if isinstance(value, tuple) else str(value or "")


def _shown(part: ipw.Widget) -> Iterator[str]:
    """Yield what a widget shows of sentences, tables and figures, in their order."""
    if isinstance(part, LiveFigure):
        yield embedded(viz.Figure(part.figure))
    elif isinstance(part, ipw.HTML):
        yield str(part.value)
    elif isinstance(part, ipw.Box):
        for child in part.children:
            yield from _shown(child)
