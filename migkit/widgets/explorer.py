"""One guest, one link, one strategy: what a prediction says as the sliders move."""

from __future__ import annotations

import html
import math
from typing import Any

import ipywidgets as ipw

from migkit import units, viz
from migkit.errors import MigkitError
from migkit.models.goodput import goodput
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit.widgets import controls, warm
from migkit.widgets.live import LiveFigure

__all__ = ["Explorer"]


class Explorer:
    """Sliders for memory, working set, write rate, bandwidth, downtime limit and strategy, and their prediction.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    memory, working_set, write_rate, bandwidth, downtime_limit, strategy
        The widgets.
    figure
        What remains over time and what each round sent.
    headline
        The result in words, or the one line of an error.
    result
        The last prediction.
    widget
        The tree of all of them, shown when the explorer is the last line of a cell.

    Examples
    --------
    >>> explorer = Explorer()
    >>> explorer.bandwidth.value = "100 Mbit/s"
    >>> explorer.result.verdict
    'does_not_converge'
    """

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self.memory = controls.slider("memory", controls.MEMORIES, "4 GiB")
        self.working_set = controls.slider("working set", controls.WORKING_SETS, "512 MiB")
        self.write_rate = controls.write_rate(20_000)
        self.bandwidth = controls.slider("bandwidth", controls.BANDWIDTHS, "2 Gbit/s")
        self.downtime_limit = controls.slider("downtime limit", controls.DOWNTIME_LIMITS, "300 ms")
        self.strategy = controls.strategies("precopy")
        self.headline = ipw.HTML()
        self.result = self._predict(self.scenario())
        self.figure = LiveFigure(self._draw())
        self.headline.value = _words(self.result)
        for control in self._controls():
            control.observe(self._follow, names="value")
        self.widget = ipw.VBox([ipw.Box(self._controls(), layout=_GRID), self.headline, self.figure])

    def scenario(self) -> Scenario:
        """Return the scenario that the widgets say.

        Raises
        ------
        UsageError
            The working set is larger than the memory.
        """
        region_bytes = units.size(self.working_set.value, "working set")
        return Scenario(
            guest=Guest(
                memory_bytes=units.size(self.memory.value, "memory"),
                dirty=(DirtyClass(region_bytes=region_bytes, writes_per_s=self.write_rate.value),),
            ),
            link=Link(bandwidth_bytes_per_s=units.rate(self.bandwidth.value, "bandwidth")),
            host=self.host,
            policy=Policy(
                max_bandwidth_bytes_per_s=math.inf,
                downtime_limit_s=units.duration(self.downtime_limit.value, "downtime limit"),
            ),
            strategy=Strategy(name=self.strategy.value),
        )

    def _controls(self) -> list[Any]:
        return [
            self.memory,
            self.bandwidth,
            self.working_set,
            self.downtime_limit,
            self.write_rate,
            self.strategy,
        ]

    def _predict(self, scenario: Scenario) -> Prediction:
        self._limit_bytes = goodput(scenario) * scenario.policy.downtime_limit_s
        return predict(scenario)

    def _draw(self) -> viz.Figure:
        return viz.overview(self.result, limit_bytes=self._limit_bytes)

    def _follow(self, _change: Any) -> None:
        try:
            self.result = self._predict(self.scenario())
            self.figure.follow(self._draw())
        except MigkitError as error:
            self.headline.value = controls.error_line(error)
        except Exception as error:
            self.headline.value = controls.error_line(error)
            raise
        else:
            self.headline.value = _words(self.result)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        warm.begin()
        return self.widget._repr_mimebundle_(**options)


_GRID = ipw.Layout(flex_flow="row wrap", max_width="960px")


def _words(result: Prediction) -> str:
    figures = [
        ("total time", units.format_duration(result.total_time_s)),
        ("downtime", units.format_duration(result.downtime_s)),
        (
            "sent",
            units.format_size(result.transferred_bytes) if math.isfinite(result.transferred_bytes) else "no end",
        ),
        ("rounds", str(result.iterations)),
        ("guest slowdown", f"{100 * result.guest_slowdown:.1f} %"),
    ]
    verdict = result.verdict.replace("_", " ")
    numbers = " &ensp; ".join(f"{name} <b>{html.escape(value)}</b>" for name, value in figures)
    return f"<b>{verdict}</b> &ensp; {numbers}<br>{html.escape(' '.join(result.reasons))}"
