"""One tab a question; each is made when it is opened first."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Final

import ipywidgets as ipw
from IPython.display import display

from migkit.errors import UsageError
from migkit.widgets import DrainExplorer, LogExplorer, warm
from migkit.widgets.dashboard.download import Download
from migkit.widgets.dashboard.report import report
from migkit.widgets.dashboard.which_link import LinkPage
from migkit.widgets.dashboard.will_it_converge import ConvergencePage
from migkit.widgets.panel import Panel

__all__ = ["QUESTIONS", "Dashboard"]

QUESTIONS: Final[dict[str, Callable[[], Panel]]] = {
    "Will this VM converge?": ConvergencePage,
    "Which link?": LinkPage,
    "Is my grace period enough?": DrainExplorer,
    "Read my log": LogExplorer,
}


class Dashboard:
    """The questions of planners, one tab each, with downloads of what each answers.

    Attributes
    ----------
    tabs
        The widget.
    pages
        Those that were opened, by their question.

    Examples
    --------
    >>> dashboard = Dashboard()
    >>> list(dashboard.pages), len(dashboard.tabs.children)
    (['Will this VM converge?'], 4)
    """

    def __init__(self) -> None:
        self.pages: dict[str, Panel] = {}
        self.tabs = ipw.Tab([ipw.VBox([ipw.HTML("<i>working ...</i>")]) for _ in QUESTIONS], titles=tuple(QUESTIONS))
        self.tabs.observe(self._opened, names="selected_index")
        self.tabs.selected_index = 0
        self.open(0)

    def open(self, number: int) -> Panel:
        """Return the page of a tab, made if it was not opened before."""
        question = list(QUESTIONS)[number]
        if question not in self.pages:
            page = self.pages[question] = QUESTIONS[question]()
            head = ipw.HTML(f"<h2>{html.escape(question)}</h2>")
            self.tabs.children[number].children = [head, page.widget, ipw.HBox(_downloads(question, page))]
        return self.pages[question]

    def _opened(self, change: Any) -> None:
        if change.new is not None:
            self.open(change.new)

    def _ipython_display_(self) -> None:
        warm.begin()
        display(self.tabs)  # type: ignore[no-untyped-call]


def _downloads(question: str, page: Panel) -> list[Download]:
    made = [Download("Download the report", lambda: ("migkit-report.html", report(question, page).encode()))]
    if isinstance(page, DrainExplorer):
        made.append(Download("Download the plan", lambda: _plan(page)))
    return made


def _plan(page: DrainExplorer) -> tuple[str, bytes]:
    if page.plan is None:
        raise UsageError("plan: there is none; the page says which constraints conflict")
    return "migkit-plan.csv", page.plan.moves.to_csv(index=False).encode()
