"""Plans and rehearsals against the page simulator, event by event: makespans, and whether probabilities are true."""

import dataclasses
import math

import numpy as np
import pytest

from migkit import Host
from migkit.models.spread.interval import RUN_TO_RUN
from migkit.planning.drain import drain
from migkit.planning.durations import demand
from migkit.planning.rehearsal import Manager, rehearse
from migkit.planning.slots import Limit
from tests.verification.page_fleets import anything, as_drawn, cases_of, played, small_fleet

pytestmark = pytest.mark.verification
FLEETS = 60
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def in_plan(moves):
    """Return who begins when: a move does as soon as so many have ended as had when it began in the plan."""
    ends = np.sort(moves.end_s.to_numpy())
    before = [int(np.sum(ends <= start * (1 + 1e-9) + 1e-6)) for start in moves.start_s]
    left = dict(enumerate(before))

    def choose(ended, running):
        return [move for move, needed in list(left.items()) if needed <= ended and left.pop(move) is not None]

    return choose


def in_order(count, most):
    """Return who begins when: the next one, while fewer than so many run."""
    left = list(range(count))

    def choose(ended, running):
        begin, left[:] = left[: most - len(running)], left[most - len(running) :]
        return begin

    return choose


def test_a_plans_makespan_is_the_page_simulators(capsys):
    base = dataclasses.replace(anything(), host=Host(platform="qemu-tcg"))
    rows = []
    for seed in range(8):
        inventory = small_fleet(seed, sources=2, vms=6)
        plan = drain(inventory, ["s0", "s1"], base=base, limits=[Limit("host", 3, "out")], rounds=30)
        number = {vm: at for at, vm in enumerate(inventory.vms.vm)}
        cases = cases_of(inventory, base)
        moves = plan.moves
        ways = [(("out", row.source), ("in", row.destination)) for row in moves.itertuples()]
        link = float(inventory.hosts.link_bytes_per_s.max())
        carries = {way: link for pair in ways for way in pair}
        mine = [cases[number[vm]] for vm in moves.vm]
        ends = played(mine, ways, carries, demand(base, link), in_plan(moves), seed=seed)
        rows.append((seed, len(moves), plan.makespan_s, max(ends.values())))
    with capsys.disabled():
        print("\nfleet  moves  planned  page simulator  difference")
        for seed, moves, planned_s, simulated_s in rows:
            print(
                f"{seed:5}  {moves:5}  {planned_s:6.2f} s  {simulated_s:12.2f} s  {planned_s / simulated_s - 1:+9.2%}"
            )
    assert max(abs(planned_s / simulated_s - 1) for *_, planned_s, simulated_s in rows) < 0.03


def test_probabilities_are_true(capsys):
    base = anything()
    manager = Manager(name="two", limits=(Limit("host", 2, "out"),))
    ranks = []
    for seed in range(FLEETS):
        inventory = small_fleet(1000 + seed)
        found = rehearse(inventory, ["s0"], manager=manager, base=base, draws=257, seed=seed)
        cases, added_s = as_drawn(cases_of(inventory, base), 257, 5000 + seed)
        scatter = np.exp(RUN_TO_RUN * np.random.default_rng(seed).standard_normal(len(cases)))
        link = float(inventory.hosts.link_bytes_per_s.max())
        ways = [(("out", "s0"), ("in", "d"))] * len(cases)
        carries = {("out", "s0"): link, ("in", "d"): 1e3 * link}
        ends = played(
            cases, ways, carries, demand(base, link), in_order(len(cases), 2), seed=seed,
            after=lambda move, total_s, factor=scatter, more_s=added_s: total_s * factor[move] + more_s,
        )  # fmt: skip
        ranks.append(float(np.mean(found.end_s <= max(ends.values()))))
    observed = [float(np.mean(np.array(ranks) <= quantile)) for quantile in QUANTILES]
    with capsys.disabled():
        print(f"\n{FLEETS} fleets: emptied by the rehearsal's quantile, in the page simulator")
        print("probability said  part observed")
        for quantile, part in zip(QUANTILES, observed, strict=True):
            print(f"{quantile:15.0%}  {part:12.0%}")
    for quantile, part in zip(QUANTILES, observed, strict=True):
        assert abs(part - quantile) < 3.0 * math.sqrt(quantile * (1 - quantile) / FLEETS) + 0.02
