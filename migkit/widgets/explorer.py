"""One guest, one link, one strategy: what a prediction says as the sliders move."""

from __future__ import annotations

from typing import Any

from migkit import viz
from migkit.models.goodput import goodput
from migkit.models.predict import predict
from migkit.scenario import Host
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel

__all__ = ["Explorer"]


class Explorer(Panel):
    """Sliders for memory, working set, write rate, bandwidth, downtime limit and strategy, and their prediction.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    strategy
        The widget beside those of every panel.
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
        self.figure = LiveFigure(self._draw())
        self.headline.value = words.summary(self.result)
        self._show(self.figure)

    def refresh(self) -> None:
        """Predict what the widgets say and show it."""
        self._predict()
        self.figure.follow(self._draw())
        self.headline.value = words.summary(self.result)

    def _controls(self) -> list[Any]:
        return [*super()._controls(), self.strategy]

    def _predict(self) -> None:
        scenario = self.scenario(self.strategy.value)
        self.result = predict(scenario, level=None)
        self._limit_bytes = goodput(scenario) * scenario.policy.downtime_limit_s

    def _draw(self) -> viz.Figure:
        return viz.overview(self.result, limit_bytes=self._limit_bytes)
