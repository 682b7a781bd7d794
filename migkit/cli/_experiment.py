"""Run a designed experiment: traces in a folder, an index of them, and what is there already is not run again."""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from migkit.cli.capture import disagreement
from migkit.errors import UsageError
from migkit.harness.experiment import Point, Run, ordered
from migkit.harness.nursery import Nursery
from migkit.harness.options import Options, as_encrypted
from migkit.harness.run import Progress, run
from migkit.scenario import Scenario, schema
from migkit.traces import io
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
        if trace.scenario != as_encrypted(self.scenario(each.point), self.options_of(each.point)):
            raise UsageError(f"trace {path}: is of another scenario; use another folder or remove it")
        return trace

    def perform(self, each: Run, progress: Progress, nursery: Nursery) -> Trace:
        return run(
            self.scenario(each.point),
            seed=self.seed + each.repeat - 1,
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
    folder.mkdir(parents=True, exist_ok=True)
    runs = ordered(design, repeats, seed)
    traces = {each.name: experiment.found(each) for each in runs}
    to_do = [each for each in runs if traces[each.name] is None]
    if to_do:
        with Nursery() as nursery:
            experiment.perform(to_do[0], lambda sample: None, nursery)
            for done, each in enumerate(to_do, len(runs) - len(to_do) + 1):
                trace = traces[each.name] = experiment.perform(each, progress, nursery)
                io.write(trace, experiment.path(each))
                say(f"{done}/{len(runs)}: {each.name} {_words(each.point)}: {trace.outcome.verdict}")
    outcomes = [(each, found.outcome) for each in runs if (found := traces[each.name]) is not None]
    for line in _disagreements(outcomes):
        say(line)
    return _index(folder / "index.csv", outcomes, seed)


def _words(point: Point) -> str:
    return ", ".join(f"{key} {value}" for key, value in point.changes.items())


def _disagreements(outcomes: Sequence[tuple[Run, Outcome]]) -> list[str]:
    times_s: dict[int, list[float]] = defaultdict(list)
    for each, outcome in outcomes:
        times_s[each.point.number].append(outcome.total_time_s)
    found = {number: disagreement(times) for number, times in sorted(times_s.items())}
    return [f"point {number:03d}: {text.removeprefix('migkit: ')}" for number, text in found.items() if text]


def _index(path: Path, outcomes: Sequence[tuple[Run, Outcome]], seed: int) -> Path:
    """Write one row a run, in order of the points; the file has its name only when it is complete."""
    keys = sorted({key for each, _ in outcomes for key in each.point.changes})
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["trace", "point", "repeat", "seed", *keys, *_RESULTS])
        for each, outcome in sorted(outcomes, key=lambda item: item[0].name):
            changes = [each.point.changes.get(key, "") for key in keys]
            results = [getattr(outcome, name) for name in _RESULTS]
            writer.writerow(
                [f"{each.name}.parquet", each.point.number, each.repeat, seed + each.repeat - 1, *changes, *results]
            )
    return part.replace(path)
