"""A machine under a rule: whether its migration ends, and which settings would do."""

from __future__ import annotations

import html
from typing import Any, Final

import ipywidgets as ipw

from migkit import viz
from migkit.calibrate.guest import scenario_file
from migkit.models.predict import predict
from migkit.planning.settings.advise import advise
from migkit.planning.settings.catalogue import PRODUCTS
from migkit.scenario import Scenario
from migkit.scenario.policy import presets
from migkit.widgets import controls, words
from migkit.widgets.dashboard.asked import WRITES, asked
from migkit.widgets.dashboard.download import Download
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel
from migkit.widgets.python import literal

__all__ = ["ConvergencePage"]

_CODE: Final = """\
from migkit import Guest, Scenario, predict, viz
from migkit.calibrate.guest.fitting import fit_guest
from migkit.calibrate.guest.readings import of_text
from migkit.planning.inventory.workloads import classes_of

{guests}
tables = {tables}
results = {{name: predict(Scenario.parse(guest=guest, **tables)) for name, guest in guests.items()}}
viz.prediction(results[{worst}])
"""


class ConvergencePage(Panel):
    """A machine under a system's rule: whether its migration ends, why, and settings to paste.

    Attributes
    ----------
    system, memory, writes, bandwidth, downtime_limit, strategy, product
        The controls.
    figure
        What remains over time, of the guest that is moved worst.
    results
        The last predictions, by what sets the guests apart; more than one where a reading leaves that open.

    Examples
    --------
    >>> page = ConvergencePage()
    >>> page.writes.value = "idle"
    >>> page.results["idle"].verdict
    'converges'
    """

    def __init__(self) -> None:
        super().__init__()
        systems = [(one.name, one.name) for one in presets()]
        self.system = controls.choice("system", systems, "kubevirt", sentence="Who migrates, with its own defaults.")
        self.memory = controls.text("memory", "16 GiB", sentence="All memory of the machine.")
        self.writes = controls.text("dirty rate", "200 MiB/s in 1 s", sentence=WRITES)
        self.bandwidth = controls.text("link", "10 Gbit/s", sentence="What the link leaves to the migration.")
        self.downtime_limit = controls.text(
            "downtime limit", "as the system has it", sentence='How long it may stand still, as in "500 ms".'
        )
        self.strategy = controls.strategies("precopy")
        self.product = controls.choice(
            "settings for", [(one, one) for one in PRODUCTS], "kubevirt", sentence="Product whose settings you want."
        )
        self._answer()
        self.figure = LiveFigure(self._draw(), "migkit-converges")
        self.table = ipw.HTML()
        self.settings = Download("Download settings", self._settings)
        self.scenario_file = Download("Download the scenario", self._scenario_file)
        self._tell()
        self._show(self.table, self.figure, ipw.HBox([self.settings, self.scenario_file]))

    def refresh(self) -> None:
        """Predict what the controls say and show it."""
        self._answer()
        self.figure.follow(self._draw())
        self._tell()

    def code(self) -> str:
        """Return Python that makes the predictions and the figure anew."""
        return _CODE.format(guests=self._asked.code, tables=literal(self._tables), worst=literal(self.worst))

    @property
    def worst(self) -> str:
        """Which of the guests that fit is moved worst."""
        results = self.results
        return max(results, key=lambda name: (results[name].verdict != "converges", results[name].total_time_s))

    def _controls(self) -> list[ipw.Widget]:
        first = [self.system, self.memory, self.writes, self.bandwidth]
        return [*first, self.downtime_limit, self.strategy, self.product]

    def _answer(self) -> None:
        said = asked(self.memory.value, self.writes.value)
        policy = {"name": self.system.value}
        if self.downtime_limit.value.strip() not in ("", "as the system has it"):
            policy["downtime_limit"] = self.downtime_limit.value
        tables: dict[str, Any] = {"link": {"bandwidth": self.bandwidth.value}, "policy": policy}
        tables["strategy"] = {"name": self.strategy.value}
        cases = {name: Scenario.parse(guest=guest, **tables) for name, guest in said.guests.items()}
        self.results = {name: predict(case) for name, case in cases.items()}
        self._asked, self._tables, self._cases = said, tables, cases

    def _draw(self) -> viz.Figure:
        return viz.prediction(self.results[self.worst])

    def _tell(self) -> None:
        verdicts = {result.verdict for result in self.results.values()}
        lines = [words.summary(self.results[self.worst])]
        if len(self.results) > 1:
            said = f"{verdicts.pop()}, whichever of them it is" if len(verdicts) == 1 else "open: it depends on which"
            lines += [
                html.escape(self._asked.note),
                f"Of the {len(self.results)} guests that fit: <b>{said}</b>. Shown above and drawn: {self.worst}.",
            ]
        self.headline.value = "<br>".join(lines)
        self.table.value = words.table(self.results)

    def _settings(self) -> tuple[str, bytes]:
        found = advise(self._cases[self.worst], self.product.value)
        parts = [f"# {one.kind}: {one.place}\n{one.text.rstrip()}\n" for one in found.snippets]
        notes = "".join(f"# {line}\n" for line in found.cannot)
        head = f"# {found.product}: {found.manner}\n# predicted with these: {found.result.reasons[0]}\n{notes}"
        return f"migkit-{self.product.value}-settings.txt", "\n".join([head, *parts]).encode()

    def _scenario_file(self) -> tuple[str, bytes]:
        text = scenario_file.text(
            self._cases[self.worst].guest, [f"{self.memory.value}, {self.writes.value}: {self.worst}"]
        )
        tables = [
            f"\n[{name}]\n" + "".join(f"{key} = {literal(value)}\n" for key, value in table.items())
            for name, table in self._tables.items()
        ]
        return "migkit-scenario.toml", "".join([text, *tables]).encode()
