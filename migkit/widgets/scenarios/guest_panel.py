"""Sliders for a guest, a link and a downtime limit, as several explorers have them."""

from __future__ import annotations

from typing import Any, Final

import ipywidgets as ipw

from migkit.models.result import Prediction
from migkit.scenario import Host, Scenario
from migkit.widgets import controls, words
from migkit.widgets.panel import Panel
from migkit.widgets.python import call, literal

__all__ = ["GuestPanel"]

_DRAWN: Final = """\
from migkit import Host, Scenario, predict, viz
from migkit.models.goodput import goodput

scenario = {scenario}
result = predict(scenario, level=None)
figure = viz.{draw}(result, limit_bytes=goodput(scenario) * scenario.policy.downtime_limit_s)
figure
"""


class GuestPanel(Panel):
    """Base of the explorers of one guest on one link.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    memory, working_set, write_rate, bandwidth, downtime_limit
        The controls.

    Examples
    --------
    >>> panel = GuestPanel()
    >>> panel.scenario().link.bandwidth_bytes_per_s
    250000000.0
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__()
        self.host = host or Host()
        self.memory = controls.slider("memory", controls.MEMORIES, "4 GiB", sentence="All memory of the guest.")
        self.working_set = controls.slider(
            "working set",
            controls.WORKING_SETS,
            "512 MiB",
            sentence="The part of its memory that the guest writes to.",
        )
        self.write_rate = controls.write_rate(20_000)
        self.bandwidth = controls.slider(
            "bandwidth",
            controls.BANDWIDTHS,
            "2 Gbit/s",
            sentence="What the link between the hosts leaves to the migration.",
        )
        self.downtime_limit = controls.slider(
            "downtime limit",
            controls.DOWNTIME_LIMITS,
            "300 ms",
            sentence="How long the guest may stand still at the end.",
        )

    def scenario(self, strategy: str = "precopy") -> Scenario:
        """Return the scenario that the controls say.

        Parameters
        ----------
        strategy
            The strategy's name.

        Raises
        ------
        UsageError
            The working set is larger than the memory.
        """
        return Scenario.parse(host=self.host, **self.tables(strategy))

    def tables(self, strategy: str = "precopy") -> dict[str, dict[str, Any]]:
        """Return what the controls say as the tables of a scenario file, without the host."""
        dirty = {"region": self.working_set.value, "writes_per_s": self.write_rate.value}
        return {
            "guest": {"memory": self.memory.value, "dirty": [dirty]},
            "link": self._link(),
            "policy": {"max_bandwidth": "unlimited", "downtime_limit": self.downtime_limit.value},
            "strategy": {"name": strategy},
        }

    def scenario_code(self, **replaced: str) -> str:
        """Return the Python that makes :meth:`scenario`, with some of its tables replaced by other Python."""
        tables = {name: literal(table) for name, table in self.tables().items()}
        return call("Scenario.parse", {**tables, "host": literal(self.host), **replaced})

    def drawn_code(self, draw: str, **replaced: str) -> str:
        """Return the Python that predicts :meth:`scenario` and draws it with a function of ``viz``."""
        return _DRAWN.format(scenario=self.scenario_code(**replaced), draw=draw)

    def _link(self) -> dict[str, Any]:
        return {"bandwidth": self.bandwidth.value}

    def _controls(self) -> list[ipw.Widget]:
        return [self.memory, self.bandwidth, self.working_set, self.downtime_limit, self.write_rate]

    def _limits(self, scenario: Scenario, result: Prediction) -> None:
        """Write beside bandwidth and downtime limit why they do not act, where they do not."""
        self.note(self.bandwidth, words.speed_limit(scenario, result))
        if self.downtime_limit.description in self.fields:
            self.note(self.downtime_limit, words.no_downtime_limit(scenario.strategy.name))
