"""What grids of real runs share: cells that are run in turn and kept, their table, and what predictions say of it.

A cell is drawn from its number, so that a table can be made again. Runs that are done stand in a file beside the
output: a series that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from migkit import Scenario, predict
from migkit.calibrate.baselines import BASELINES
from migkit.errors import MigkitError
from migkit.traces import Trace
from tests.verification.qemu_migration import DISTURBED, TRIES

REPEATED = 10  # each so many-th cell runs three times
SIMPLE = ("geometric", "working_set", "piecewise")
Row = dict[str, Any]
_Run = TypeVar("_Run")


def repeats(number: int) -> int:
    """Return how often the cell of a number runs."""
    return 3 if number % REPEATED == 0 else 1


def least_disturbed(run: Callable[[], _Run], share: Callable[[_Run], float], most: float = DISTURBED) -> _Run:
    """Run; again while others had more than ``most`` of each run's time, by ``share``. Return the least disturbed."""
    runs: list[_Run] = []
    while len(runs) < TRIES and all(share(one) > most for one in runs):
        runs.append(run())
    return min(runs, key=share)


def rounds_of(trace: Trace) -> list[Row]:
    """Return each round of a trace, by column."""
    rounds = trace.rounds.to_pydict()
    return [dict(zip(rounds, values, strict=True)) for values in zip(*rounds.values(), strict=True)]


def run_all(numbers: Iterable[int], part: Path, run: Callable[[int, int], Row]) -> None:
    """Run the cells whose runs are not in ``part`` yet, and add the row of each to it.

    Parameters
    ----------
    numbers
        Of the cells.
    part
        Rows so far, one JSON text a line.
    run
        Returns the row of a cell's number and a repeat.
    """
    done = {(one["cell"], one["repeat"]) for one in lines(part)}
    with part.open("a") as stream:
        for number, repeat in _turns(numbers):
            if (number, repeat) in done:
                continue
            try:
                row = run(number, repeat)
            except MigkitError as error:
                print(f"{number:4} {repeat}: {type(error).__name__}: {error}", flush=True)
                continue
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            print(f"{number:4} {repeat} {row['verdict']:10} {row['total_time_s']:7.3f} s", flush=True)


def _turns(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    for number in numbers:
        yield from ((number, repeat) for repeat in range(repeats(number)))


def lines(part: Path) -> list[Row]:
    """Return the rows that are done."""
    return [json.loads(line) for line in part.read_text().splitlines()] if part.exists() else []


def part_of(output: Path) -> Path:
    """Return where runs are kept until the table is written."""
    return output.with_suffix(".part.jsonl")


def pack(part: Path, output: Path, **meta: str) -> None:
    """Write the runs as one table, in the order of their cells."""
    table = pa.Table.from_pylist(sorted(lines(part), key=lambda one: (one["cell"], one["repeat"])))
    beside = output.with_suffix(".new")
    pq.write_table(table.replace_schema_metadata(meta), beside, compression="zstd", compression_level=19)
    beside.replace(output)


class Simple(NamedTuple):
    """What a simple model says of a run."""

    right: bool
    total_time_error: float


class Checked(NamedTuple):
    """A run beside its prediction, and beside simple models by name; ``ended`` is whether it converged."""

    cell: int
    kind: str
    ended: bool
    right: bool
    total_time_error: float
    bytes_error: float
    downtime_error_s: float
    simple: dict[str, Simple]


def kind_of(scenario: Scenario) -> str:
    """Return what a run is counted as: its manner of moving, or what is unusual of the guest of a plain pre-copy."""
    strategy, dirty = scenario.strategy, scenario.guest.dirty
    if strategy.name != "precopy":
        return strategy.name
    if strategy.compression != "none":
        return "compression"
    marks = [name for name in ("auto_converge", "xbzrle", "tls") if getattr(strategy, name)]
    marks += ["streams"] * (strategy.streams > 1)
    marks += ["growth"] * any(one.kind == "growth" for one in dirty) + ["phases"] * any(one.phases for one in dirty)
    return marks[0] if marks else strategy.name


def checked(one: Row, downtime_s: float) -> Checked:
    """Return a row of a table beside what its scenario predicts; ``downtime_s`` is what was measured of it [s]."""
    scenario = one["scenario"]
    result = predict(scenario, level=None, detail=False)
    time_s = one["total_time_s"]
    estimates = {name: BASELINES[name](scenario) for name in SIMPLE}
    return Checked(
        one["cell"],
        kind_of(scenario),
        one["verdict"] == "converges",
        result.verdict == one["verdict"],
        result.total_time_s / time_s - 1.0,
        result.transferred_bytes / max(one["transferred_bytes"], 1) - 1.0,
        result.downtime_s - downtime_s,
        {
            name: Simple(said.verdict == one["verdict"], said.total_time_s / time_s - 1.0)
            for name, said in estimates.items()
        },
    )


_HEAD = "kind           runs  verdicts  total time       bytes            downtime       " + "  ".join(
    f"{name:>17}" for name in SIMPLE
)


def report(runs: Sequence[Checked]) -> str:
    """Return a table of errors, median and worst, by kind; times are those of runs that ended and were to end.

    Of each simple model it has the median error of total time, and its right verdicts.
    """
    kinds = sorted({run.kind for run in runs})
    rows = [_line(kind, [run for run in runs if run.kind == kind]) for kind in kinds]
    return "\n".join([_HEAD, *rows, _line("all", runs)])


def beyond(runs: Sequence[Checked], share: float) -> str:
    """Return the runs whose verdict is wrong, or whose total time is predicted off by more than a share of it."""
    off = [run for run in runs if not run.right or (run.ended and abs(run.total_time_error) > share)]
    off.sort(key=lambda run: -abs(run.total_time_error))
    verdicts = {False: "  another verdict", True: ""}
    return "\n".join(
        f"cell {run.cell:3} {run.kind:13} {run.total_time_error:+7.1%}{verdicts[run.right]}" for run in off
    )


def _line(kind: str, runs: Sequence[Checked]) -> str:
    done = [run for run in runs if run.ended and run.right]
    times, sizes, pauses = (_sizes([getattr(run, name) for run in done]) for name in Checked._fields[4:7])
    simple = "  ".join(_of_simple([run.simple[name] for run in runs if run.ended], runs, name) for name in SIMPLE)
    verdicts = f"{sum(run.right for run in runs)}/{len(runs)}"
    of_time, of_bytes = (f"{one[0]:6.2%} {one[1]:7.1%}" for one in (times, sizes))
    of_downtime = f"{1e3 * pauses[0]:5.1f} {1e3 * pauses[1]:6.1f} ms"
    return f"{kind:13} {len(runs):5}  {verdicts:>8}  {of_time}   {of_bytes}   {of_downtime}  {simple}"


def _of_simple(ended: Sequence[Simple], runs: Sequence[Checked], name: str) -> str:
    error, _ = _sizes([one.total_time_error for one in ended if one.right])
    right = f"{sum(run.simple[name].right for run in runs)}/{len(runs)}"
    return f"{error:7.1%}  {right:>8}"


def _sizes(errors: Sequence[float]) -> tuple[float, float]:
    """Return the median and the worst size of errors; NaN where there are none."""
    sizes = [abs(error) for error in errors]
    return (median(sizes), max(sizes)) if sizes else (math.nan, math.nan)


def compare(runs: Sequence[Checked], asked: argparse.Namespace) -> None:
    """Print what is asked of runs that were compared."""
    print(report(runs))
    if asked.beyond is not None:
        print(beyond(runs, asked.beyond))


def parser_of(about: str, cells: int) -> argparse.ArgumentParser:
    """Return the arguments that every grid takes."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--cells", type=int, default=cells)
    parser.add_argument("--first", type=int, default=0, help="number of the first cell")
    parser.add_argument("-o", "--output", type=Path, help="the table; runs are kept beside it until it is written")
    parser.add_argument("--check", type=Path, help="compare this table with predictions, and run nothing")
    parser.add_argument("--beyond", type=float, help="list the runs that are predicted off by more, such as 0.04")
    return parser
