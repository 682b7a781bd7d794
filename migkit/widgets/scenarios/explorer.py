"""One guest, one link, one strategy: what a prediction says as the sliders move."""

from __future__ import annotations

from typing import Any

from migkit import viz
from migkit.models.goodput import goodput
from migkit.models.predict import predict
from migkit.scenario import Host
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import literal
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["Explorer"]


class Explorer(GuestPanel):
    """Sliders for memory, working set, write rate, bandwidth, downtime limit and strategy, and their prediction.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    strategy
        The control beside those of a guest panel.
    figure
        What remains over time, and what each bitmap sync found left.
    result
        The last prediction.

    Examples
    --------
    >>> explorer = Explorer()
    >>> explorer.bandwidth.value = "100 Mbit/s"
    >>> explorer.result.verdict
    'does_not_converge'
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self.strategy = controls.strategies("precopy")
        self._predict()
        self.figure = LiveFigure(self._draw(), "migkit-explorer")
        self.headline.value = words.summary(self.result)
        self._show(self.figure)

    def refresh(self) -> None:
        """Predict what the controls say and show it."""
        self._predict()
        self.figure.follow(self._draw())
        self.headline.value = words.summary(self.result)

    def code(self) -> str:
        """Return Python that makes the prediction and its figure anew."""
        return self.drawn_code("overview", strategy=literal({"name": self.strategy.value}))

    def _controls(self) -> list[Any]:
        return [*super()._controls(), self.strategy]

    def _notes(self) -> None:
        self._limits(self._scenario, self.result)

    def _predict(self) -> None:
        self._scenario = self.scenario(self.strategy.value)
        self.result = predict(self._scenario, level=None)

    def _draw(self) -> viz.Figure:
        scenario = self._scenario
        return viz.overview(self.result, limit_bytes=goodput(scenario) * scenario.policy.downtime_limit_s)
