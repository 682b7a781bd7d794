"""Round after round of pre-copy: bytes, time, what is left, and where that comes to rest."""

from __future__ import annotations

import html
from typing import Any, Final

import ipywidgets as ipw

from migkit import units, viz
from migkit.models.dirty import dirty_curve, settling_bytes
from migkit.models.goodput import goodput
from migkit.models.predict import predict
from migkit.models.result import Round
from migkit.scenario import Host
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["RoundsExplorer"]

_ROWS: Final = 12
_CELL: Final = 'style="text-align:right;padding:1px 10px;line-height:1.4"'


class RoundsExplorer(GuestPanel):
    """The rounds of pre-copy, and the fixed point that they approach.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    kind
        The control beside those of a guest panel.
    figure
        What each round sent, how long it took, what was left, against what the downtime limit allows.
    steps
        The rounds as steps between the dirty curve and the line of the link.
    table
        The rounds in numbers.
    result
        The last prediction.

    Examples
    --------
    >>> explorer = RoundsExplorer()
    >>> explorer.bandwidth.value = "500 Mbit/s"
    >>> explorer.result.verdict, "settle" in explorer.headline.value
    ('does_not_converge', True)
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self.kind = controls.choice(
            "order of writes",
            [("at random", "random"), ("in address order", "sweep")],
            "random",
            sentence="Which page of the working set a write goes to.",
        )
        self._predict()
        self.figure = LiveFigure(self._draw(), "migkit-rounds")
        self.steps = LiveFigure(self._draw_steps(), "migkit-settling")
        self.table = ipw.HTML()
        self._tell()
        self._show(self.figure, self.table, self.steps)

    def refresh(self) -> None:
        """Predict what the controls say and show it."""
        self._predict()
        self.figure.follow(self._draw())
        self._at_rest(lambda: self.steps.follow(self._draw_steps()))
        self._tell()

    def code(self) -> str:
        """Return Python that makes the prediction and its rounds anew."""
        return self.drawn_code("each_round")

    def tables(self, strategy: str = "precopy") -> dict[str, dict[str, Any]]:
        """Return what the controls say as the tables of a scenario file, without the host."""
        tables = super().tables(strategy)
        tables["guest"]["dirty"][0]["kind"] = self.kind.value
        return tables

    def _controls(self) -> list[Any]:
        return [*super()._controls(), self.kind]

    def _notes(self) -> None:
        self._limits(self._scenario, self.result)

    def _predict(self) -> None:
        self._scenario = self.scenario()
        self.result = predict(self._scenario, level=None)
        self._speed = goodput(self._scenario)

    def _draw(self) -> viz.Figure:
        return viz.each_round(self.result, limit_bytes=self._speed * self._scenario.policy.downtime_limit_s)

    def _draw_steps(self) -> viz.Figure:
        return viz.settling(
            dirty_curve(self._scenario.guest),
            self.result,
            self._speed,
            settles=(self.result.natural_downtime_s, settling_bytes(self._scenario.guest, self._speed)),
            limit_s=self._scenario.policy.downtime_limit_s,
        )

    def _tell(self) -> None:
        self.headline.value = f"{words.summary(self.result)}<br>{html.escape(self._settling())}"
        self.table.value = _table(self.result.rounds)

    def _settling(self) -> str:
        """Return where the rounds settle, in a sentence."""
        left = settling_bytes(self._scenario.guest, self._speed)
        limit = units.format_duration(self._scenario.policy.downtime_limit_s)
        if left == 0.0:
            return "The link sends faster than the guest dirties in any window: rounds shrink until nothing is left."
        natural = units.format_duration(self.result.natural_downtime_s)
        return (
            f"Rounds settle at {units.format_size(left)} left, the fixed point. To send that takes {natural}, the "
            f"natural downtime of this guest on this link; the downtime limit is {limit}."
        )


def _table(rounds: tuple[Round, ...]) -> str:
    """Return the first rounds and the last one as a table."""
    columns = ("round", "left at its start", "sent", "took", "of that the sync")
    head = "".join(f"<th {_CELL}>{name}</th>" for name in columns)
    shown = [_row(row) for row in rounds[:_ROWS]]
    if len(rounds) > _ROWS:
        shown += [f"<tr><td {_CELL}>...</td></tr>"] * (len(rounds) > _ROWS + 1) + [_row(rounds[-1])]
    return f'<div class="migkit-scroll"><table><tr>{head}</tr>{"".join(shown)}</table></div>'


def _row(row: Round) -> str:
    cells = (
        str(row.iteration),
        units.format_size(row.remaining_bytes),
        units.format_size(row.sent_bytes),
        units.format_duration(row.duration_s),
        units.format_duration(row.sync_s),
    )
    return "<tr>" + "".join(f"<td {_CELL}>{cell}</td>" for cell in cells) + "</tr>"
