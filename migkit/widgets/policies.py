"""One guest under every named policy."""

from __future__ import annotations

import dataclasses

import ipywidgets as ipw

from migkit import viz
from migkit.models.predict import predict
from migkit.scenario import Host, Policy, Scenario
from migkit.scenario.policy import presets
from migkit.widgets import words
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel

__all__ = ["PolicyExplorer"]


class PolicyExplorer(Panel):
    """The same guest as each hypervisor and manager would migrate it, by its documented defaults.

    Parameters
    ----------
    host
        Calibrated constants of the installation.

    Attributes
    ----------
    figure
        Where the guest runs and when it is down: a row a policy.
    results
        The last predictions, by policy.

    Examples
    --------
    >>> explorer = PolicyExplorer()
    >>> explorer.results["qemu"].verdict
    'converges'
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(host)
        self._predict()
        self.figure = LiveFigure(viz.timelines(self.results))
        self.table = ipw.HTML(words.table(self.results))
        self._show(self.table, self.figure)

    def refresh(self) -> None:
        """Predict what the widgets say and show it."""
        self._predict()
        self.figure.follow(viz.timelines(self.results))
        self.table.value = words.table(self.results)
        self.headline.value = ""

    def _controls(self) -> list[ipw.Widget]:
        return [self.memory, self.bandwidth, self.working_set, self.write_rate]

    def scenario_under(self, policy: str) -> Scenario:
        """Return the scenario that the widgets say, under a named policy with its defaults."""
        return dataclasses.replace(self.scenario(), policy=Policy.named(policy))

    def _predict(self) -> None:
        names = [preset.name for preset in presets() if preset.rule is None]
        self.results = {name: predict(self.scenario_under(name), level=None, detail=False) for name in names}
