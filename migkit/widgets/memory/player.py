"""A film of memory in the page: a grid of cells for each run, on one clock, to play and to scrub."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from migkit.models.simulate import STATES, Simulation
from migkit.viz.page_states import PAGES
from migkit.viz.strategies import PHASES
from migkit.viz.style import INK
from migkit.viz.style import STRATEGIES as STYLES

__all__ = ["Player"]

_HERE: Final = Path(__file__).parent


def _phase(name: str, colour: str) -> dict[str, str]:
    """Return what the strip below a grid calls a phase, and its colour on the page."""
    return {"label": name, "colour": "currentColor" if colour == INK else colour}


class Player(anywidget.AnyWidget):
    """Recorded runs side by side on one clock: play, pause, scrub, speed, from one bitmap sync to the next.

    The script ``player.js`` draws. It gets each run's frames once, compressed; playing asks the kernel for nothing.

    Parameters
    ----------
    runs
        Simulations with frames, by the names of their strategies or by what else they are to be called.

    Attributes
    ----------
    position_s
        Where the clock stands, since the request [s].
    speed
        Seconds of the migration in a second of the film; 0 lets the page choose one that lasts about ten seconds.

    Raises
    ------
    ValueError
        A simulation has no frames.

    Examples
    --------
    >>> from migkit import Guest, simulate
    >>> player = Player({"precopy": simulate(Guest(memory_bytes=2**24), frames=20)})
    >>> player.films[0]["label"], player.position_s
    ('pre-copy', 0.0)
    """

    _esm = (_HERE / "player.js").read_text(encoding="utf-8")
    _css = (_HERE / "player.css").read_text(encoding="utf-8")
    films: traitlets.List[Any] = traitlets.List().tag(sync=True)
    states = traitlets.List([PAGES[name]._asdict() for name in STATES]).tag(sync=True)
    phases = traitlets.List([_phase(name, colour) for name, (colour, _) in PHASES.items()]).tag(sync=True)
    position_s = traitlets.Float(0.0).tag(sync=True)
    speed = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, runs: Mapping[str, Simulation]) -> None:
        super().__init__(films=[_film(name, run) for name, run in runs.items()])

    def follow(self, runs: Mapping[str, Simulation]) -> None:
        """Show other runs; the clock stays where it is."""
        self.films = [_film(name, run) for name, run in runs.items()]


def _film(name: str, simulation: Simulation) -> dict[str, Any]:
    """Return what the script needs of a run."""
    frames, run = simulation.frames, simulation.runs[0]
    if frames is None:
        raise ValueError(f"{name}: the simulation has no frames; ask for some, as in simulate(..., frames=300)")
    return {
        "label": STYLES[name].label if name in STYLES else name,
        "cells": frames.states.shape[1],
        "pages_a_cell": frames.pages_a_cell,
        "times_s": frames.times_s.tolist(),
        "rounds": frames.rounds.tolist(),
        "stopped_s": _finite(frames.stopped_s),
        "resumed_s": _finite(frames.resumed_s),
        "total_s": _finite(run.total_time_s),
        "changes": frames.packed(),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
