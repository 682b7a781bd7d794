"""Every strategy of one guest side by side, and where one overtakes another."""

from __future__ import annotations

import math
from typing import Any, Final

import ipywidgets as ipw

from migkit import viz
from migkit.models.advice.crossover import as_quick_up_to, at_write_rates, converges_up_to
from migkit.models.advice.guest_speed import speed_over_time
from migkit.models.bulk.several import Outcome
from migkit.models.predict import predict
from migkit.scenario import Host
from migkit.scenario.strategy import STRATEGIES
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import literal
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["StrategyExplorer"]

_CODE: Final = """\
from migkit import Host, Scenario, predict, viz
from migkit.models.advice.guest_speed import speed_over_time

results, speeds = {{}}, {{}}
for name in {names}:
    scenario = {scenario}
    results[name] = predict(scenario, level=None)
    speeds[name] = speed_over_time(results[name])
progress = viz.progress(results, speeds)
figure = viz.timelines(results)
figure
"""
_RATES: Final = (300.0, 1e3, 3e3, 1e4, 2e4, 4e4, 7e4, 1e5, 2e5, 4e5, 1e6)
_ENDS: Final = (_RATES[0], _RATES[-1])
_FIELDS: Final = {"total_time_s": "total time", "downtime_s": "downtime"}


class StrategyExplorer(GuestPanel):
    """Pre-copy, post-copy, hybrid and stop-copy of one guest.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    round_trip
        The control beside those of a guest panel.
    figure
        Where the guest runs, when it is down, when it waits for pages: a row a strategy.
    progress
        What each strategy has sent over time, and how fast the guest runs meanwhile.
    crossover
        Total time and downtime of each strategy over the write rate; where pre-copy is overtaken and where it ends.
    results, sweep
        The last predictions, by strategy; and those over the write rates of ``crossover``.
    rates
        These write rates, that up to which pre-copy converges among them [1/s].
    as_quick_up_to, converges_up_to
        Write rates up to which pre-copy takes at most a quarter longer than post-copy, and up to which it converges
        [1/s].

    Examples
    --------
    >>> explorer = StrategyExplorer()
    >>> explorer.write_rate.value = 1e6
    >>> explorer.results["precopy"].verdict, explorer.results["postcopy"].verdict
    ('does_not_converge', 'converges')
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self.round_trip = controls.slider(
            "round trip",
            controls.ROUND_TRIPS,
            "0.2 ms",
            sentence="From one host to the other and back: how long a demanded page takes at least.",
        )
        self._setting: tuple[Any, ...] | None = None
        self.sweep: dict[str, list[Outcome]] = {}
        self._predict()
        self._predict_sweep()
        self.figure = LiveFigure(viz.timelines(self.results), "migkit-strategies")
        self.progress = LiveFigure(self._draw_progress(), "migkit-progress")
        self.crossover = LiveFigure(self._draw_crossover(), "migkit-crossover")
        self.table = ipw.HTML(words.table(self.results))
        self.headline.value = self._compare()
        self._show(self.table, self.figure, self.progress, self.crossover)

    def refresh(self) -> None:
        """Predict what the controls say and show it."""
        self._predict()
        self.figure.follow(viz.timelines(self.results))
        self.table.value = words.table(self.results)
        self._at_rest(self._follow_sweep)

    def _follow_sweep(self) -> None:
        self.progress.follow(self._draw_progress())
        self._predict_sweep()
        self.crossover.follow(self._draw_crossover())
        self.headline.value = self._compare()

    def code(self) -> str:
        """Return Python that makes the predictions and their figures anew."""
        scenario = self.scenario_code(strategy='{"name": name}').replace("\n", "\n    ")
        return _CODE.format(names=literal(list(STRATEGIES)), scenario=scenario)

    def _notes(self) -> None:
        self._limits(self.scenario("precopy"), self.results["precopy"])

    def _controls(self) -> list[Any]:
        return [*super()._controls(), self.round_trip]

    def _link(self) -> dict[str, Any]:
        return {"bandwidth": self.bandwidth.value, "rtt": self.round_trip.value}

    def _predict(self) -> None:
        self.results = {name: predict(self.scenario(name), level=None) for name in STRATEGIES}

    def _predict_sweep(self) -> None:
        setting = tuple(control.value for control in self._controls() if control is not self.write_rate)
        if setting != self._setting:
            precopy = self.scenario("precopy")
            self.converges_up_to = converges_up_to(precopy, _RATES[0], _RATES[-1])
            self.rates = _with(self.converges_up_to)
            self.sweep = {name: at_write_rates(self.scenario(name), self.rates) for name in STRATEGIES}
            self.as_quick_up_to = as_quick_up_to(precopy, "postcopy", _RATES[0], _RATES[-1])
            self._setting = setting

    def _compare(self) -> str:
        return words.crossover(self.as_quick_up_to, self.converges_up_to)

    def _draw_progress(self) -> viz.Figure:
        speeds = {name: speed_over_time(result) for name, result in self.results.items()}
        return viz.progress(self.results, speeds)

    def _draw_crossover(self) -> viz.Figure:
        return viz.crossovers(
            self.rates,
            self.sweep,
            here=self.write_rate.value,
            x_title="page writes [1/s]",
            fields=_FIELDS,
            marks={
                "pre-copy takes a quarter longer from": self.as_quick_up_to,
                "pre-copy converges up to": self.converges_up_to,
            },
        )


def _with(rate: float) -> list[float]:
    """Return the write rates of the curves with one more, if it is one, in the place of those near it [1/s]."""
    if rate in (0.0, math.inf):
        return list(_RATES)
    return sorted({rate, *(one for one in _RATES if one in _ENDS or not 0.8 * rate < one < 1.25 * rate)})
