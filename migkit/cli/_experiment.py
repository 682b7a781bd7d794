"""Run a designed experiment: traces in a folder, an index of them, and what is there already is not run again."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from migkit import files
from migkit.cli._output import emit, rows_as
from migkit.errors import UsageError
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.disturbance import disagreement
from migkit.harness.runs.experiment import Point, Run, ordered
from migkit.harness.runs.options import Options, as_performed
from migkit.harness.runs.run import Progress, run
from migkit.harness.runs.settlement import Whereabouts, telling
from migkit.scenario import Scenario
from migkit.scenario.form import schema
from migkit.traces import io
from migkit.traces.place import check_room
from migkit.traces.schema import Outcome, Trace

__all__ = ["perform"]

_RESULTS = ("verdict", "total_time_s", "downtime_s", "transferred_bytes", "iterations", "guest_operations")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Experiment:
    """A design on a scenario, and where its traces go."""

    tables: Mapping[str, Any]
    base: Path
    options: Options
    seed: int
    folder: Path

    def scenario(self, point: Point) -> Scenario:
        return schema.from_mapping(point.applied(self.tables), self.base)

    def options_of(self, point: Point) -> Options:
        """Return the options; a point may ask for plain text by its own ``strategy.tls``."""
        says = point.applied(self.tables).get("strategy", {}).get("tls")
        return dataclasses.replace(self.options, plaintext=says is False)

    def path(self, each: Run) -> Path:
        return self.folder / f"{each.name}.parquet"

    def found(self, each: Run) -> Trace | None:
        """Return the trace of a run that was done before.

        Raises
        ------
        UsageError
            There is one, of another scenario.
        """
        path = self.path(each)
        if not path.exists():
            return None
        trace = io.read(path)
        if trace.scenario != as_performed(self.scenario(each.point), self.options_of(each.point)):
            raise UsageError(f"trace {path}: is of another scenario; use another folder or remove it")
        return trace

    def seed_of(self, each: Run) -> int:
        """Return the seed of the guest: repeats have different ones, points the same."""
        return self.seed + each.repeat - 1

    def perform(self, each: Run, progress: Progress, nursery: Nursery) -> Trace:
        return run(
            self.scenario(each.point),
            seed=self.seed_of(each),
            options=self.options_of(each.point),
            progress=progress,
            nursery=nursery,
        )


def perform(
    design: Sequence[Point],
    repeats: int,
    *,
    tables: Mapping[str, Any],
    base: Path,
    options: Options,
    seed: int,
    folder: Path,
    say: Callable[[str], object],
    progress: Progress,
) -> Path:
    """Run what is not there yet, in random order behind one warm-up; return the index of all runs.

    Raises
    ------
    MigkitError
        A point is wrong (before the first run), or a run failed; what was recorded stays.
    """
    experiment = _Experiment(tables=tables, base=base, options=options, seed=seed, folder=folder)
    for point in design:
        experiment.scenario(point)
    _make(folder)
    runs = ordered(design, repeats, seed)
    traces = {each.name: experiment.found(each) for each in runs}
    to_do = [each for each in runs if traces[each.name] is None]
    if to_do:
        check_room(folder, f"grid: {folder}")
        where = Whereabouts()
        with telling(where), Nursery() as nursery:
            experiment.perform(to_do[0], lambda sample: None, nursery)
            for done, each in enumerate(to_do, len(runs) - len(to_do) + 1):
                trace = traces[each.name] = experiment.perform(each, progress, nursery)
                where.note(trace)
                io.write(trace, experiment.path(each))
                say(f"{done}/{len(runs)}: {each.name} {_words(each.point)}: {trace.outcome.verdict}")
    outcomes = [(each, found.outcome) for each in runs if (found := traces[each.name]) is not None]
    for line in _disagreements(outcomes):
        say(line)
    index = folder / "index.csv"
    emit(rows_as("csv", _rows(experiment, outcomes)), index, private=True)
    return index


def _make(folder: Path) -> None:
    try:
        files.make_private(folder)
    except OSError as error:
        raise UsageError(f"grid: {folder} cannot be made ({error.strerror}); name another folder with -o") from error


def _words(point: Point) -> str:
    return ", ".join(f"{key} {value}" for key, value in point.changes.items())


def _disagreements(outcomes: Sequence[tuple[Run, Outcome]]) -> list[str]:
    times_s: dict[int, list[float]] = defaultdict(list)
    for each, outcome in outcomes:
        times_s[each.point.number].append(outcome.total_time_s)
    found = {number: disagreement(times) for number, times in sorted(times_s.items())}
    return [f"point {number:03d}: {text.removeprefix('migkit: ')}" for number, text in found.items() if text]


def _rows(experiment: _Experiment, outcomes: Sequence[tuple[Run, Outcome]]) -> list[dict[str, Any]]:
    """Return one row a run, in order of the points."""
    keys = sorted({key for each, _ in outcomes for key in each.point.changes})
    return [
        {
            "trace": experiment.path(each).name,
            "point": each.point.number,
            "repeat": each.repeat,
            "seed": experiment.seed_of(each),
            **{key: each.point.changes.get(key, "") for key in keys},
            **{name: getattr(outcome, name) for name in _RESULTS},
        }
        for each, outcome in sorted(outcomes, key=lambda item: item[0].name)
    ]
