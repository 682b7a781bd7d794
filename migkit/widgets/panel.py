"""What every explorer has: sliders for a guest and a link, one line for errors, figures that follow."""

from __future__ import annotations

import html
import math
from typing import Any, Final

import ipywidgets as ipw

from migkit import units
from migkit.errors import MigkitError
from migkit.scenario import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit.viz.style import COLOURS
from migkit.widgets import controls, warm

__all__ = ["Panel"]

_GRID: Final = ipw.Layout(flex_flow="row wrap", max_width="960px")


class Panel:
    """Base of the explorers.

    A subclass makes its figures, calls :meth:`_show` with its tree, and says in :meth:`refresh` how they follow.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    memory, working_set, write_rate, bandwidth, downtime_limit
        The widgets.
    headline
        The result in words, or the one line of an error.
    widget
        The tree of all widgets, shown when the explorer is the last line of a cell.
    """

    widget: ipw.Widget

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self.memory = controls.slider("memory", controls.MEMORIES, "4 GiB")
        self.working_set = controls.slider("working set", controls.WORKING_SETS, "512 MiB")
        self.write_rate = controls.write_rate(20_000)
        self.bandwidth = controls.slider("bandwidth", controls.BANDWIDTHS, "2 Gbit/s")
        self.downtime_limit = controls.slider("downtime limit", controls.DOWNTIME_LIMITS, "300 ms")
        self.headline = ipw.HTML()

    def scenario(self, strategy: str = "precopy") -> Scenario:
        """Return the scenario that the widgets say.

        Parameters
        ----------
        strategy
            The strategy's name.

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
            link=self._link(),
            host=self.host,
            policy=Policy(
                max_bandwidth_bytes_per_s=math.inf,
                downtime_limit_s=units.duration(self.downtime_limit.value, "downtime limit"),
            ),
            strategy=Strategy(name=strategy),
        )

    def refresh(self) -> None:
        """Bring results and figures up to what the widgets say.

        Raises
        ------
        UsageError
            The widgets contradict each other.
        """
        raise NotImplementedError

    def _link(self) -> Link:
        return Link(bandwidth_bytes_per_s=units.rate(self.bandwidth.value, "bandwidth"))

    def _controls(self) -> list[Any]:
        return [self.memory, self.bandwidth, self.working_set, self.downtime_limit, self.write_rate]

    def _show(self, *parts: ipw.Widget) -> None:
        for control in self._controls():
            control.observe(self._follow, names="value")
        self.widget = ipw.VBox([ipw.Box(self._controls(), layout=_GRID), self.headline, *parts])

    def _follow(self, _change: Any) -> None:
        try:
            self.refresh()
        except MigkitError as error:
            self._complain(error)
        except Exception as error:
            self._complain(error)
            raise

    def _complain(self, error: Exception) -> None:
        text = html.escape(str(error) or repr(error))
        self.headline.value = f'<span style="color:{COLOURS["vermillion"]}"><b>{text}</b></span>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        warm.begin()
        return self.widget._repr_mimebundle_(**options)
