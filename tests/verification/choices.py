"""How much worse is the recommended setting than the best one? Regret of ``tradeoffs`` against an oracle.

    python -m tests.verification.choices --guests 40 --seed 0

The oracle simulates every choice page by page and takes the best by the weights. The regret of a choice is
``exp(S - S_best) - 1``, ``S`` its weighted mean of logarithms of simulated goals, as ``tradeoffs`` weighs them: 0.05
is 5 % more of each goal than need be, in the weighted geometric mean. Beside the recommendation stand habits that
need no model.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Mapping

import numpy as np

from migkit import DirtyClass, Guest, Link, Policy, Scenario, jit
from migkit.errors import InfeasibleError
from migkit.models.simulate import simulate
from migkit.planning.tradeoffs import GOALS, Option, Tradeoffs, tradeoffs

MIB = 2**20
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "all alike": {},
    "downtime first": {"downtime_s": 4.0},
    "slowdown first": {"guest_slowdown": 4.0},
    "no post-copy": {"risk": 4.0, "guest_slowdown": 2.0},
}
HABITS = {
    "as it is": "as it is",
    "auto-converge": "auto-converge",
    "post-copy": "postcopy",
    "hybrid": "hybrid",
    "stop-copy": "stopcopy",
}


def guest(seed: int, number: int) -> Scenario:
    """Return one of a series of guests on links that are wide for some and narrow for others."""
    draw = random.Random(f"{seed}:{number}")
    memory = draw.choice((64, 96, 128)) * MIB
    region = int(memory * draw.choice((0.1, 0.3, 0.6)) / 4096) * 4096
    rate = math.exp(draw.uniform(math.log(1e6), math.log(1.25e9)))  # of the link [B/s]
    writes = draw.uniform(0.05, 2.0) * rate / 4096
    return Scenario(
        guest=Guest(memory_bytes=memory, dirty=(DirtyClass(region_bytes=region, writes_per_s=writes),)),
        link=Link(bandwidth_bytes_per_s=rate),
        policy=Policy(name=draw.choice(("qemu", "libvirt")), max_bandwidth_bytes_per_s=math.inf),
    )


def simulated(option: Option, seed: int) -> np.ndarray | None:
    """Return the goals of a choice as the page simulator has them; None: it does not converge."""
    run = simulate(option.scenario, seed=seed).runs[0]
    if run.verdict != "converges":
        return None
    exposed_s = option.result.exposure_s * option.scenario.host.failures_per_h / 3600.0
    values = {goal: getattr(run, goal, exposed_s) for goal in GOALS}
    return np.array([values[goal] for goal in GOALS])


def scores(found: Tradeoffs, goals: dict[str, np.ndarray], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weighted mean of logarithms of each choice; less is better."""
    matters, kept = np.array(list(GOALS.values())), np.array([weights.get(goal, 1.0) for goal in GOALS])
    logs = {words: np.log(values + matters) for words, values in goals.items()}
    return {words: float(values @ kept / kept.sum()) for words, values in logs.items()}


def regrets(seed: int, guests: int) -> dict[tuple[str, str], list[float]]:
    """Return the regret of each habit and of the recommendation, by the name of the weights; infinite: it fails."""
    jit.compile_kernels()
    told: dict[tuple[str, str], list[float]] = {}
    for number in range(guests):
        case = guest(seed, number)
        try:
            found = tradeoffs(case)
        except InfeasibleError:
            continue
        good = [option for option in found.options if not option.missed or len(option.changes) <= 1]
        goals = {}
        for option in good:
            values = simulated(option, number)
            if values is not None:
                goals[option.words] = values
        for name, weights in WEIGHTS.items():
            by_score = scores(found, goals, weights)
            least = min(by_score.values())
            best = tradeoffs(case, weights=weights).best.words
            for who, words in {"recommended": best, **HABITS}.items():
                value = by_score.get(words)
                told.setdefault((name, who), []).append(math.inf if value is None else math.expm1(value - least))
    return told


def main() -> int:
    """Print a table of regrets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--guests", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    told = regrets(given.seed, given.guests)
    print(f"{'weights':<16} {'choice':<14} {'guests':>6} {'fails':>6} {'median':>8} {'mean':>8} {'95th':>8}")
    for (name, who), values in told.items():
        ended = [value for value in values if math.isfinite(value)]
        fails = len(values) - len(ended)
        shown = [statistics.median(ended), statistics.fmean(ended), float(np.quantile(ended, 0.95))] if ended else []
        cells = " ".join(f"{100 * value:>7.1f}%" for value in shown)
        print(f"{name:<16} {who:<14} {len(values):>6} {fails:>6} {cells}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
