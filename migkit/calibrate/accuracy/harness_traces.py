"""Migrations by the page-copy harness, each predicted with constants that were fitted to all the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migkit.calibrate.accuracy.scored import Origin, Scored, scored
from migkit.calibrate.fit import Calibration, fit
from migkit.traces import data, io

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["beside", "score"]


def score(folder: Path | None = None) -> Iterator[Scored]:
    """Yield each trace of a folder beside its prediction; None: the traces that ship.

    Examples
    --------
    >>> next(score()).origin.split
    '5 others'
    """
    paths = data.shipped_traces() if folder is None else tuple(sorted(folder.glob("*.parquet")))
    traces = {path.stem: io.read(path) for path in paths}
    if len(traces) < 2:
        return
    for name, trace in traces.items():
        others = [other for other in traces.values() if other is not trace]
        yield beside([(name, trace)], fit(others), f"{len(others)} others")[0]


def beside(traces: Sequence[tuple[str, Trace]], calibration: Calibration, split: str) -> list[Scored]:
    """Return traces, by name, beside their predictions with fitted constants.

    Parameters
    ----------
    traces
        Name and trace of each run.
    calibration
        Constants that were fitted to other runs.
    split
        What they were fitted to, in words.
    """
    return [
        scored(
            Origin(name, name, f"{trace.machine.get('processor', 'unknown')}", split),
            calibration.scenario(trace.scenario),
            verdict=trace.outcome.verdict,
            total_time_s=trace.outcome.total_time_s,
            downtime_s=trace.outcome.downtime_s,
            transferred_bytes=trace.outcome.transferred_bytes,
        )
        for name, trace in traces
    ]
