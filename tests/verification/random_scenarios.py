"""Random legal scenarios through ``predict``, ``predict_many``, ``simulate``: none fails, or takes long.

    python -m tests.verification.random_scenarios --ordinary 100000 --extreme 20000 --seed 0 --metamorphic 8000 \
        --simulated 500

prints a table of what was found, and the first of each kind by its number in the series.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator

import pandas as pd

from migkit import Prediction, Scenario, jit
from migkit.errors import MigkitError
from migkit.models.bulk.many import RESULTS, predict_many
from migkit.models.predict import predict
from migkit.models.simulate import Run, simulate
from tests.metamorphic import EXPLANATIONS, RULES, violations
from tests.scenarios import scenario

LONGEST_S = 2.0
SHOWN = 5
SMALL_BYTES = 128 * 2**20
ENDLESS = ("total_time_s", "transferred_bytes")
BOUNDED = ("total_time_s", "downtime_s", "transferred_bytes")


def faults(one: Prediction) -> Iterator[str]:
    """Yield the kinds of what a prediction must never say."""
    numbers = {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}
    numbers = {name: value for name, value in numbers.items() if isinstance(value, float | int)}
    numbers |= {f"rounds.{name}": min(getattr(r, name) for r in one.rounds) for name in _ROUND} if one.rounds else {}
    if any(math.isnan(value) for value in numbers.values()):
        yield "not a number"
    if any(value < 0 for value in numbers.values()):
        yield "negative"
    endless = ENDLESS if one.verdict == "does_not_converge" else ()
    if any(math.isinf(value) for name, value in numbers.items() if name not in endless):
        yield "infinite"
    if one.interval is not None and any(
        not low <= numbers[name] <= high for name in BOUNDED for low, high in [getattr(one.interval, name)]
    ):
        yield "outside of its interval"


_ROUND = ("duration_s", "sync_s", "marked_pages", "remaining_bytes", "normal_pages", "zero_pages", "sent_bytes")


def differences(case: Scenario, one: Prediction) -> Iterator[str]:
    """Yield the columns in which ``predict_many`` says something else than ``predict``, to the last bit."""
    row = predict_many(pd.DataFrame({"memory_bytes": [case.guest.memory_bytes]}), case).iloc[0]
    yield from (name for name in RESULTS if row[name] != getattr(one, name))


def faults_of_run(one: Run) -> Iterator[str]:
    """Yield the kinds of what a simulated run must never say."""
    numbers = {name: value for name, value in dataclasses.asdict(one).items() if isinstance(value, float | int)}
    if any(math.isnan(value) for value in numbers.values()):
        yield "not a number"
    if any(value < 0 for value in numbers.values()):
        yield "negative"
    endless = ENDLESS if one.verdict == "does_not_converge" else ()
    if any(math.isinf(value) for name, value in numbers.items() if name not in endless):
        yield "infinite"


class Found:
    """Counts of what was found, and the first of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.longest_s = 0.0

    def note(self, what: str, where: str) -> None:
        """Count one, and say where the first ones are."""
        self.counts[what] += 1
        if self.counts[what] <= SHOWN:
            print(f"  {where}: {what}", flush=True)


def go_through(kind: str, number: int, seed: int, first: int = 0) -> Found:
    """Predict scenarios of a series, one by one and as frames.

    Parameters
    ----------
    kind, seed
        Of the series, see :func:`tests.scenarios.scenario`.
    number, first
        How many, from which on.
    """
    found = Found()
    for at in range(first, first + number):
        case = scenario(kind, seed, at)
        where = f"{kind} {seed} {at}"
        begin_s = time.process_time()
        try:
            one = predict(case)
            took_s = time.process_time() - begin_s
            for what in faults(one):
                found.note(what, where)
            for name in differences(case, one):
                found.note("predict_many differs", f"{where}, {name}")
        except (MigkitError, AssertionError, ArithmeticError, ValueError, IndexError, TypeError, Warning) as error:
            found.note("exception", f"{where}, {type(error).__name__}: {error}")
            continue
        found.longest_s = max(found.longest_s, took_s)
        if took_s > LONGEST_S:
            found.note("above 2 s", f"{where}, {took_s:.1f} s")
    return found


def simulate_them(kind: str, number: int, seed: int) -> Found:
    """Simulate small scenarios of a series, one run of each."""
    found = Found()
    for at in range(number):
        case = scenario(kind, seed, at, most_bytes=SMALL_BYTES)
        where = f"{kind} {seed} {at}, at most {SMALL_BYTES >> 20} MiB"
        begin_s = time.process_time()
        try:
            [run] = simulate(case).runs
            agrees = predict(case).verdict == run.verdict
        except (MigkitError, AssertionError, ArithmeticError, ValueError, IndexError, TypeError, Warning) as error:
            found.note("exception", f"{where}, {type(error).__name__}: {error}")
            continue
        took_s = time.process_time() - begin_s
        for what in faults_of_run(run):
            found.note(what, where)
        found.counts["same verdict as predict"] += agrees
        found.longest_s = max(found.longest_s, took_s)
        if took_s > LONGEST_S:
            found.note("above 2 s", f"{where}, {took_s:.1f} s")
    return found


def compare(number: int, seed: int) -> Found:
    """Hold scenarios of the ordinary series against their changed forms."""
    found = Found()
    for at in range(number):
        for one in violations(scenario("ordinary", seed, at)):
            found.counts[f"{one.rule}: {one.explanation or 'UNEXPLAINED'}"] += 1
            if not one.explanation:
                found.note("unexplained", f"ordinary {seed} {at}, {one.rule}, {one.text}")
    return found


def warm_up() -> None:
    """Compile what scenarios of all kinds use, so that no prediction's time is that of a compiler."""
    jit.compile_kernels()
    for at in range(40):
        case = scenario("ordinary", 0, at)
        list(differences(case, predict(case)))
    simulate(scenario("ordinary", 0, 0, most_bytes=SMALL_BYTES))


def main() -> None:
    """Go through scenarios from the command line; exit 1 when something was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ordinary", type=int, default=2000)
    parser.add_argument("--extreme", type=int, default=2000)
    parser.add_argument("--metamorphic", type=int, default=0, help="ordinary scenarios held against changed forms")
    parser.add_argument("--simulated", type=int, default=0, help="small scenarios of both kinds that are simulated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="where in the series to begin")
    asked = parser.parse_args()
    warnings.simplefilter("error")
    warm_up()
    wrong = 0
    for kind in ("ordinary", "extreme"):
        number = getattr(asked, kind)
        found = go_through(kind, number, asked.seed, asked.first)
        print(f"{kind}: {number} scenarios, the longest {found.longest_s:.2f} s")
        for what in ("exception", "above 2 s", "not a number", "infinite", "negative", "outside of its interval"):
            print(f"  {what}: {found.counts[what]}")
        print(f"  predict_many differs: {found.counts['predict_many differs']}", flush=True)
        wrong += sum(found.counts.values())
    for kind in ("ordinary", "extreme") if asked.simulated else ():
        found = simulate_them(kind, asked.simulated, asked.seed)
        same = found.counts.pop("same verdict as predict")
        wrong += sum(found.counts.values())
        told = ", ".join(f"{what} {count}" for what, count in found.counts.items()) or "nothing wrong"
        print(
            f"{kind}: {asked.simulated} simulated, the longest {found.longest_s:.2f} s, {told}; {same} verdicts alike"
        )
    if asked.metamorphic:
        found = compare(asked.metamorphic, asked.seed)
        wrong += found.counts["unexplained"]
        print(f"{asked.metamorphic} scenarios held against their changed forms")
        for rule in RULES:
            table = {key: found.counts[f"{rule}: {key}"] for key in (*EXPLANATIONS, "UNEXPLAINED")}
            told = ", ".join(f"{key} {count}" for key, count in table.items() if count)
            print(f"  {rule}: {sum(table.values())}" + (f" ({told})" if told else ""))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
