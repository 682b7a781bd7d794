"""All that the chosen data sets say: errors and intervals of each split, and what was learned for the intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from migkit.calibrate.accuracy import conformal
from migkit.calibrate.accuracy.agreement import Summary, summary
from migkit.calibrate.accuracy.datasets import DATASETS, Dataset
from migkit.calibrate.accuracy.scored import QUANTITIES, Scored
from migkit.errors import MigkitError, UsageError
from migkit.models.spread.residuals import Residuals
from migkit.units import MIB

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Part", "Scoreboard", "scoreboard"]

Chosen = Mapping[str, tuple[Dataset, Path | None]]
_TITLES: Final = {
    "total_time_s": ("total time [s]", 1.0),
    "downtime_s": ("downtime [s]", 1.0),
    "transferred_bytes": ("sent [MiB]", MIB),
}


class Part(NamedTuple):
    """One split of one data set.

    Attributes
    ----------
    split
        What its predictions were fitted to, in words.
    runs
        The runs beside their predictions.
    summary
        Their errors, and the intervals as :func:`migkit.predict` gives them.
    left_out
        The same with intervals whose correction was learned without the workload of each run. Runs of a folder of
        one's own are new to the shipped corrections, so both are the same.
    """

    split: str
    runs: Sequence[Scored]
    summary: Summary
    left_out: Summary

    def to_frame(self) -> pd.DataFrame:
        """Return one row a run and quantity that was both measured and predicted.

        The columns are those that :func:`migkit.viz.predicted_against_measured` and :func:`migkit.viz.intervals`
        take: ``run``, ``quantity`` with its unit, ``measured``, ``predicted``, ``low`` and ``high``.
        """
        import pandas as pd

        rows = (row for run in self.runs for row in _told(run))
        return pd.DataFrame(rows, columns=["run", "quantity", "measured", "predicted", "low", "high"])


class Scoreboard(NamedTuple):
    """What data sets say.

    Attributes
    ----------
    parts
        The splits of each data set.
    whole
        Each data set as one part.
    learned
        The residuals learned of all data that ship; none where only folders of one's own were given.
    """

    parts: Mapping[str, Sequence[Part]]
    whole: Mapping[str, Part]
    learned: Mapping[tuple[str, bool], Residuals]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a data set: how far predictions are off, and simple models on the same runs.

        ``off`` is the median size of the relative error in total time, ``in_interval`` the share of total times
        within intervals at 90 % that were corrected without the workload of the run.
        """
        import pandas as pd

        return pd.DataFrame([_row(name, part) for name, part in self.whole.items()])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is no number is None."""
        return {
            "schema_version": 1,
            "datasets": {name: [_part(part) for part in parts] for name, parts in self.parts.items()},
            "corrections": [
                {"platform": platform, "load_known": known} | one._asdict()
                for (platform, known), one in self.learned.items()
            ],
        }


def scoreboard(chosen: Chosen, step: Callable[[float], None] = lambda amount: None) -> Scoreboard:
    """Score data sets.

    Corrections that leave a workload out are learned of all data that ship, whichever of them are chosen.

    Parameters
    ----------
    chosen
        Data sets by name, as :func:`migkit.calibrate.accuracy.datasets.chosen` gives them.
    step
        Told 1 when one data set is done.

    Examples
    --------
    >>> scoreboard({}).to_dict()["datasets"]
    {}
    """
    own = {
        name: _own(name, dataset, folder, step) for name, (dataset, folder) in chosen.items() if folder is not None
    }
    shipped: dict[str, list[Scored]] = {}
    if len(own) < len(chosen):
        shipped = {name: _scored(dataset, None, step) for name, dataset in DATASETS.items()}
    every = [run for runs in shipped.values() for run in runs]
    fair = dict(zip(map(id, every), conformal.left_out(every), strict=True))
    both = {
        name: (own[name], own[name]) if name in own else (shipped[name], [fair[id(run)] for run in shipped[name]])
        for name in chosen
    }
    parts = {name: _parts(*runs) for name, runs in both.items()}
    whole = {name: _whole("all", *runs) for name, runs in both.items()}
    return Scoreboard(parts, whole, conformal.learned(every))


def _own(name: str, dataset: Dataset, folder: Path, step: Callable[[float], None]) -> list[Scored]:
    """Return the runs of a folder of one's own.

    Raises
    ------
    UsageError
        There is none that another one predicts, or they are not of the form of those that ship.
    """
    takes = f"it takes {dataset.files}: {dataset.form}"
    if not any(folder.glob(dataset.files)):
        raise UsageError(f"accuracy: {folder} holds no runs of {name} to compare; {takes}")
    try:
        runs = _scored(dataset, folder, step)
    except MigkitError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise UsageError(f"accuracy: {folder}: not runs of {name} ({said}); {takes}") from error
    if not runs:
        raise UsageError(f"accuracy: {folder} holds no runs of {name} to compare; {takes}")
    return runs


def _scored(dataset: Dataset, folder: Path | None, step: Callable[[float], None]) -> list[Scored]:
    runs = list(dataset.score(folder))
    step(1.0)
    return runs


def _parts(runs: Sequence[Scored], fair: Sequence[Scored]) -> list[Part]:
    return [
        _whole(split, *([run for run in some if run.origin.split == split] for some in (runs, fair)))
        for split in dict.fromkeys(run.origin.split for run in runs)
    ]


def _whole(split: str, runs: Sequence[Scored], fair: Sequence[Scored]) -> Part:
    return Part(split, runs, summary(runs), summary(fair))


def _part(part: Part) -> dict[str, Any]:
    return {
        "split": part.split,
        "summary": part.summary.to_dict(),
        "left_out": part.left_out.to_dict(),
        "runs": [_run(run) for run in part.runs],
    }


def _row(name: str, part: Part) -> dict[str, Any]:
    found = part.summary
    row: dict[str, Any] = {"data set": name, "runs": found.rows}
    row |= {"verdicts": found.verdicts, "verdicts_right": found.verdicts_right}
    row |= {"off": found.total_time_s.median, "in_interval": part.left_out.total_time_s.coverage}
    return row | {f"off_{model}": errors["total_time_s"] for model, errors in found.baselines.items()}


def _told(run: Scored) -> Iterator[tuple[str, str, float, float, float, float]]:
    for name, (title, scale) in _TITLES.items():
        interval = (math.nan, math.nan) if run.prediction.interval is None else getattr(run.prediction.interval, name)
        measured, predicted, low, high = (
            value / scale for value in (getattr(run.measured, name), getattr(run.prediction, name), *interval)
        )
        if math.isfinite(measured) and math.isfinite(predicted):
            yield run.origin.run, title, measured, predicted, low, high


def _run(run: Scored) -> dict[str, Any]:
    """Return a run with what was measured, predicted and bounded."""
    row: dict[str, Any] = {"run": run.origin.run, "workload": run.origin.workload, "host": run.origin.host}
    row |= {"verdict_measured": run.measured.verdict or None, "verdict_predicted": run.prediction.verdict}
    assert run.prediction.interval is not None
    for name in QUANTITIES:
        low, high = getattr(run.prediction.interval, name)
        values = {
            "measured": getattr(run.measured, name),
            "predicted": getattr(run.prediction, name),
            "low": low,
            "high": high,
        }
        row[name] = {key: value if math.isfinite(value) else None for key, value in values.items()}
    return row
