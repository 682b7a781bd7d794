"""The least link with which a migration keeps its limits."""

from __future__ import annotations

import html
import math
from typing import Final

import ipywidgets as ipw

from migkit import viz
from migkit.planning.size import Near, size
from migkit.planning.targets import Targets
from migkit.scenario import Policy, Scenario
from migkit.scenario.policy import presets
from migkit.units import duration, format_duration, format_rate
from migkit.widgets import controls
from migkit.widgets.dashboard.asked import WRITES, asked
from migkit.widgets.live import LiveFigure
from migkit.widgets.panel import Panel
from migkit.widgets.python import literal

__all__ = ["LinkPage"]

_CODE: Final = """\
from migkit import Guest, Policy, Scenario, Targets, size, viz
from migkit.calibrate.guest.fitting import fit_guest
from migkit.calibrate.guest.readings import of_text
from migkit.planning.inventory.workloads import classes_of
from migkit.units import format_rate

{guests}
policy = Policy.parse(name={policy}, max_bandwidth="unlimited")
sizes = [size(Scenario(guest=guest, policy=policy), targets=Targets({targets})) for guest in guests.values()]
answer = max(sizes, key=lambda one: one.value)
viz.near(answer.to_frame(), answer.value, "bandwidth", format_rate)
"""
_PROBABILITIES: Final = [("the likely host", "")] + [(f"{n} of 100 hosts", str(n / 100)) for n in (75, 90, 95, 99)]
_CELL: Final = 'style="text-align:right;padding:2px 10px"'


class LinkPage(Panel):
    """The least bandwidth with which a migration converges and keeps its limits.

    Attributes
    ----------
    system, memory, writes, downtime, total_time, hosts
        The controls.
    answer
        The last size.
    figure
        Total time and downtime for bandwidths around the answer.

    Examples
    --------
    >>> page = LinkPage()
    >>> page.answer.result.total_time_s <= 120.0
    True
    """

    def __init__(self) -> None:
        super().__init__()
        systems = [(one.name, one.name) for one in presets()]
        self.system = controls.choice("system", systems, "libvirt", sentence="Who migrates; without a cap.")
        self.memory = controls.text("memory", "32 GiB", sentence="All memory of the machine.")
        self.writes = controls.text("dirty rate", "200 MiB/s in 1 s", sentence=WRITES)
        self.downtime = controls.text("downtime", "1 s", sentence='Longest time that it may stand still, or "any".')
        self.total_time = controls.text("total time", "2 min", sentence='Longest time until it has moved, or "any".')
        self.hosts = controls.choice(
            "must do on", _PROBABILITIES, "", sentence="Nobody has measured the hosts: how sure must it be?"
        )
        self.table = ipw.HTML()
        self._find()
        self.figure = LiveFigure(self._draw(), "migkit-link")
        self._tell()
        self._show(self.figure, self.table)

    def refresh(self) -> None:
        """Find the bandwidth for what the controls say and show it."""
        self._find()
        self.figure.follow(self._draw())
        self._tell()

    def code(self) -> str:
        """Return Python that finds the bandwidth, and makes its figure, anew."""
        limits = ", ".join(f"{name}={literal(value)}" for name, value in self._limits.items())
        return _CODE.format(guests=self._asked.code, policy=literal(self.system.value), targets=limits)

    def _find(self) -> None:
        said = asked(self.memory.value, self.writes.value)
        policy, limits = Policy.parse(name=self.system.value, max_bandwidth="unlimited"), self._targets()
        targets = Targets(**limits)
        answers = {
            name: size(Scenario(guest=guest, policy=policy), targets=targets) for name, guest in said.guests.items()
        }
        self._worst = max(answers, key=lambda name: answers[name].value)
        self.answer, self._asked, self._limits = answers[self._worst], said, limits

    def _draw(self) -> viz.Figure:
        return viz.near(self.answer.to_frame(), self.answer.value, "bandwidth", format_rate)

    def _tell(self) -> None:
        guests = len(self._asked.guests)
        note = f"{self._asked.note} This link does for all {guests} guests that fit; most is needed by {self._worst}."
        if self._asked.note:
            note += f" Drawn is what {self._worst} would take."
        lines = [f"<b>{html.escape(self.answer.text)}</b>", html.escape(note if self._asked.note else "")]
        self.headline.value = "<br>".join(filter(None, lines))
        self.table.value = self._rows()

    def _targets(self) -> dict[str, float]:
        said = {"downtime_s": self.downtime, "total_time_s": self.total_time}
        limits = {
            name: math.inf if control.value.strip() == "any" else duration(control.value, control.description)
            for name, control in said.items()
        }
        return limits | ({"probability": float(self.hosts.value)} if self.hosts.value else {})

    def _controls(self) -> list[ipw.Widget]:
        return [self.system, self.memory, self.writes, self.downtime, self.total_time, self.hosts]

    def _rows(self) -> str:
        head = "".join(f"<th {_CELL}>{name}</th>" for name in ("bandwidth", "total time", "downtime", "limits"))
        rows = "".join(map(self._row, self.answer.curve))
        return f'<div class="migkit-scroll"><table><tr>{head}</tr>{rows}</table></div>'

    def _row(self, near: Near) -> str:
        total = format_duration(near.total_time_s) if math.isfinite(near.total_time_s) else "never"
        kept = "kept" if near.holds else "missed" if near.verdict == "converges" else near.verdict
        down = format_duration(near.downtime_s) if near.verdict == "converges" else ""
        cells = "".join(f"<td {_CELL}>{cell}</td>" for cell in (format_rate(near.value), total, down, kept))
        weight = "bold" if near.value == self.answer.value else "normal"
        return f'<tr style="font-weight:{weight}">{cells}</tr>'
