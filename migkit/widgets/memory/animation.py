"""Memory page by page while it moves: pre-copy beside post-copy, from the page-level simulator."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

import ipywidgets as ipw

from migkit import units
from migkit.models.simulate import Run, simulate
from migkit.scenario import Host
from migkit.viz.style import STRATEGIES as STYLES
from migkit.widgets import controls, warm
from migkit.widgets.memory.player import Player
from migkit.widgets.python import literal
from migkit.widgets.scenarios.guest_panel import GuestPanel

__all__ = ["Animation"]

_FRAMES: Final = 400
_STRATEGIES: Final = ("precopy", "postcopy")
_MEMORIES: Final = ("64 MiB", "128 MiB", "256 MiB", "512 MiB", "1 GiB")
_ZEROS: Final = ("0 MiB", "16 MiB", "32 MiB", "64 MiB", "128 MiB", "256 MiB", "512 MiB")
_CODE: Final = """\
from migkit import Host, Scenario, simulate
from migkit.widgets import Player

runs = {{}}
for name in {names}:
    scenario = {scenario}
    runs[name] = simulate(scenario, frames={frames})
figure = Player(runs)
figure
"""


class Animation(GuestPanel):
    """Every page of a guest while it moves: to be sent, sent, written again, zero, demanded.

    The guest moves by pre-copy and, beside it on the same clock, by post-copy.

    Parameters
    ----------
    host
        Calibrated constants of the installation. Firmware is left out, so that a cell is a page.

    Attributes
    ----------
    zero
        The control beside those of a guest panel.
    player
        The two films.
    runs
        The last simulations, by strategy.

    Examples
    --------
    >>> animation = Animation()
    >>> animation.bandwidth.value = "300 Mbit/s"
    >>> animation.runs["precopy"].runs[0].verdict, animation.runs["postcopy"].runs[0].verdict
    ('does_not_converge', 'converges')
    """

    def __init__(self, host: Host | None = None) -> None:
        super().__init__(dataclasses.replace(host or Host(), firmware_bytes=0))
        self.memory = controls.slider(
            "memory", _MEMORIES, "256 MiB", sentence="All memory of the guest; the simulator follows every page."
        )
        self.zero = controls.slider(
            "zero pages", _ZEROS, "64 MiB", sentence="The part of its memory that holds only zeros."
        )
        self.working_set.value, self.bandwidth.value, self.downtime_limit.value = "64 MiB", "1 Gbit/s", "100 ms"
        warm.compile_simulator()
        self._simulate()
        self.player = Player(self.runs)
        self._tell()
        for control in self._controls():
            control.continuous_update = False  # a run of every page takes longer than a prediction
        self._show(self.player)

    def refresh(self) -> None:
        """Simulate what the controls say and show it."""
        self._simulate()
        self.player.follow(self.runs)
        self._tell()

    def code(self) -> str:
        """Return Python that makes the simulations and their films anew."""
        scenario = self.scenario_code(strategy='{"name": name}').replace("\n", "\n    ")
        return _CODE.format(names=literal(list(_STRATEGIES)), scenario=scenario, frames=_FRAMES)

    def tables(self, strategy: str = "precopy") -> dict[str, dict[str, Any]]:
        """Return what the controls say as the tables of a scenario file, without the host."""
        tables = super().tables(strategy)
        tables["guest"]["zero"] = self.zero.value
        return tables

    def _controls(self) -> list[ipw.Widget]:
        return [*super()._controls(), self.zero]

    def _simulate(self) -> None:
        self.runs = {name: simulate(self.scenario(name), frames=_FRAMES) for name in _STRATEGIES}

    def _tell(self) -> None:
        lines = [_line(STYLES[name].label, result.runs[0]) for name, result in self.runs.items()]
        self.headline.value = "<br>".join(lines)


def _line(label: str, run: Run) -> str:
    """Return one run in words."""
    if not math.isfinite(run.total_time_s):
        return f"<b>{label}</b> does not converge; the film shows its first rounds"
    numbers = {
        "over after": units.format_duration(run.total_time_s),
        "downtime": units.format_duration(run.downtime_s),
        "sent": units.format_size(run.transferred_bytes),
        "bitmap syncs": str(run.iterations),
        "demand faults": f"{run.postcopy_faults:,}".replace(",", " "),
    }
    return f"<b>{label}</b> &ensp; " + " &ensp; ".join(f"{name} <b>{value}</b>" for name, value in numbers.items())
