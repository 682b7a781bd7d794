"""One guest under every named policy."""

from __future__ import annotations

import dataclasses
from typing import Final

import ipywidgets as ipw

from migkit import viz
from migkit.models.predict import predict
from migkit.scenario import Host, Policy, Scenario
from migkit.scenario.policy import presets
from migkit.widgets import words
from migkit.widgets.live import LiveFigure
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["PolicyExplorer"]

_CODE: Final = """\
from migkit import Host, Policy, Scenario, predict, presets, viz

results = {{}}
for name in [preset.name for preset in presets() if preset.rule is None]:
    scenario = {scenario}
    results[name] = predict(scenario, level=None, detail=False)
figure = viz.timelines(results)
figure
"""


class PolicyExplorer(GuestPanel):
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
        self.figure = LiveFigure(viz.timelines(self.results), "migkit-policies")
        self.table = ipw.HTML(words.table(self.results))
        self._show(self.table, self.figure)

    def refresh(self) -> None:
        """Predict what the widgets say and show it."""
        self._predict()
        self.figure.follow(viz.timelines(self.results))
        self.table.value = words.table(self.results)

    def code(self) -> str:
        """Return Python that makes the predictions and their figure anew."""
        return _CODE.format(scenario=self.scenario_code(policy="Policy.named(name)").replace("\n", "\n    "))

    def _notes(self) -> None:
        self.note(self.bandwidth, words.unmoved(self.results))

    def _controls(self) -> list[ipw.Widget]:
        return [self.memory, self.bandwidth, self.working_set, self.write_rate]

    def scenario_under(self, policy: str) -> Scenario:
        """Return the scenario that the widgets say, under a named policy with its defaults."""
        return dataclasses.replace(self.scenario(), policy=Policy.named(policy))

    def _predict(self) -> None:
        names = [preset.name for preset in presets() if preset.rule is None]
        self.results = {name: predict(self.scenario_under(name), level=None, detail=False) for name in names}
