"""One drain played once a draw: everything that it depends on, and how each draw goes."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

import numpy as np

from migkit.errors import UsageError
from migkit.planning.drain.planned import planned
from migkit.planning.drain.problem import Fleet
from migkit.planning.inventory import Inventory
from migkit.planning.rehearsal import outcomes
from migkit.planning.rehearsal.damage import Failure, damage_of
from migkit.planning.rehearsal.managers import Manager
from migkit.planning.rehearsal.stage import Course, ManagerStage, PlanStage, Stage
from migkit.scenario import Scenario

__all__ = ["Asked", "courses"]

_POINTS: Final = 61  # of the engine; further draws scatter around these
_DAY_S: Final = 86400.0
_PLAN_ROUNDS: Final = 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything that a rehearsal depends on.

    Attributes
    ----------
    inventory
        Machines and hosts.
    hosts
        Numbers of the hosts to empty, in their order.
    manager
        Who empties them.
    base
        Policy, strategy and constants of the hosts.
    deadline_s
        By when they must be empty [s].
    at_once
        Hosts in a wave.
    service_s
        How long each wave is worked on once it is empty [s].
    failures
        What breaks.
    draws, seed
        How often it is played, and from which the draws come.
    """

    inventory: Inventory
    hosts: np.ndarray
    manager: Manager
    base: Scenario
    deadline_s: float
    at_once: int
    service_s: float
    failures: tuple[Failure, ...]
    draws: int
    seed: int

    @property
    def until_s(self) -> float:
        """How long a wave is waited for [s]."""
        return max(_DAY_S, 2.0 * self.deadline_s if math.isfinite(self.deadline_s) else 0.0)


def courses(asked: Asked) -> tuple[Stage, outcomes.Outcomes, list[Course]]:
    """Return who empties the hosts, what may become of each migration, and how each draw went."""
    inventory, base = asked.inventory, asked.base
    link = float(inventory.hosts["link_bytes_per_s"].max())
    if asked.draws == 1:
        found = outcomes.expected(inventory.vms, base, link)
    else:
        points = min(_POINTS, asked.draws)
        found = outcomes.drawn(
            inventory.vms, base, link, draws=asked.draws, points=points, seed=asked.seed, wanted=_may_move(asked)
        )
    stage = _stage(asked, found)
    return stage, found, [stage.play(found, draw, asked.seed, asked.until_s) for draw in range(asked.draws)]


def _may_move(asked: Asked) -> np.ndarray | None:
    """Return which machines may move; None: any, since those that have moved stand in the way of a later wave."""
    if asked.at_once < asked.hosts.size:
        return None
    names = asked.inventory.hosts["host"].to_numpy()[asked.hosts]
    return asked.inventory.vms["host"].isin(names).to_numpy()


def _stage(asked: Asked, found: outcomes.Outcomes) -> Stage:
    if not asked.manager.follows_plan:
        fleet = Fleet.of(asked.inventory, found.durations, asked.manager.limits)
        damage = damage_of(asked.failures, list(fleet.hosts))
        return ManagerStage(fleet, asked.hosts, asked.manager, asked.at_once, asked.service_s, damage)
    if asked.failures:
        raise UsageError(
            f"failures: {len(asked.failures)} were given, and a plan does not react to them; name a manager, or plan "
            "anew from the state after them (migkit drain --state)"
        )
    names = asked.inventory.hosts["host"].to_numpy()[asked.hosts].tolist()
    plan = planned(
        asked.inventory,
        names,
        base=asked.base,
        limits=asked.manager.limits,
        rolling=asked.at_once < asked.hosts.size,
        at_once=asked.at_once if asked.at_once < asked.hosts.size else None,
        service_s=asked.service_s,
        rounds=_PLAN_ROUNDS,
        seed=asked.seed,
    )
    return PlanStage(plan, asked.hosts)
