"""Which link a guest needs, as its limits and its writing change."""

from __future__ import annotations

from typing import Any, Final

import ipywidgets as ipw

from migkit import units, viz
from migkit.planning.size import Size, size
from migkit.planning.targets import Targets
from migkit.scenario import Host
from migkit.units import format_rate
from migkit.widgets import controls, words
from migkit.widgets.live import LiveFigure
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["LinkExplorer"]

_CODE: Final = """\
from migkit import Host, Scenario, Targets, size, viz
from migkit.units import format_rate

scenario = {scenario}
answer = size(scenario, targets=Targets(downtime_s={downtime_s!r}, total_time_s={total_time_s!r}))
figure = viz.near(answer.to_frame(), answer.value, "bandwidth", format_rate)
figure
"""


class LinkExplorer(GuestPanel):
    """The least bandwidth with which a guest's migration keeps its limits, and what a little more or less does.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    longest_downtime, longest_time
        The controls of the limits, beside those of a guest panel.
    figure
        Total time and downtime for bandwidths around the answer.
    answer
        The last answer.

    Examples
    --------
    >>> explorer = LinkExplorer()
    >>> least = explorer.answer.value
    >>> explorer.longest_time.value = "10 s"
    >>> explorer.answer.value > least
    True
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self.longest_downtime = controls.slider(
            "downtime", controls.DOWNTIME_LIMITS, "1 s", sentence="The longest time for which the guest may be down."
        )
        self.longest_time = controls.slider(
            "total time", controls.TIMES, "60 s", sentence="The longest time from the request to the end."
        )
        self.answer = self._ask()
        self.figure = LiveFigure(self._draw(), "migkit-link")
        self.headline.value = words.answer(self.answer)
        self._show(self.figure)

    def refresh(self) -> None:
        """Find the least bandwidth for what the controls say and show it.

        Raises
        ------
        InfeasibleError
            No bandwidth keeps the limits.
        """
        self.answer = self._ask()
        self.figure.follow(self._draw())
        self.headline.value = words.answer(self.answer)

    def code(self) -> str:
        """Return Python that finds the answer and makes its figure anew."""
        return _CODE.format(scenario=self.scenario_code(), **self._limits_s())

    def _controls(self) -> list[ipw.Widget]:
        limits = [self.longest_downtime, self.longest_time, self.downtime_limit]
        return [self.memory, self.working_set, self.write_rate, *limits]

    def _link(self) -> dict[str, Any]:
        return {}

    def _limits_s(self) -> dict[str, float]:
        return {
            "downtime_s": units.duration(self.longest_downtime.value, "downtime"),
            "total_time_s": units.duration(self.longest_time.value, "total time"),
        }

    def _ask(self) -> Size:
        return size(self.scenario(), targets=Targets(**self._limits_s()))

    def _draw(self) -> viz.Figure:
        return viz.near(self.answer.to_frame(), self.answer.value, "bandwidth", format_rate)
