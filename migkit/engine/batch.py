"""Many migrations of any strategy: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import postcopy, precopy
from migkit.engine.packing import Packed
from migkit.engine.records import PackedClass, PackedScenario, Result, Run, Step, Work
from migkit.jit import lean, owned, rows
from migkit.policies import decision

__all__ = ["migrate_many", "without_steps"]


def without_steps(packed: Packed, rule: Any) -> Packed:
    """Return scenarios without steps where kernels may take None for them: these are compiled for plain ones then.

    In these QEMU's rule alone decides, nothing changes with time, and all pages sent in full cost alike: what is
    compiled for them takes a quarter of the time, and is faster.
    """
    table = packed.scenario
    own = packed.parameters.view(decision.Parameters.dtype_of())
    plain = rule is None and packed.steps.size == 0
    plain = plain and not (table.fills_zero.any() or table.xbzrle_pages.any() or table.write_fault_s.any())
    for name, value in _PLAIN.items():
        plain = plain and bool((own[name] == value).all())
    return packed._replace(steps=None) if plain else packed


_PLAIN: Final = {
    "policy": decision.QEMU,
    "strategy": decision.PRECOPY,
    "throttle_rule": decision.NO_THROTTLE,
}


def migrate_many(packed: Packed, results: np.ndarray, rule: Any) -> None:
    """Predict many migrations.

    Parameters
    ----------
    packed
        Many scenarios; their steps may be None, see :func:`without_steps`.
    results
        Receives those of all, one behind the other.
    rule
        A policy of one's own for all of them, or None.
    """
    number = packed.scenario.shape[1]
    _each(
        rows(PackedScenario, packed.scenario.T),
        rows(PackedClass, packed.classes, number),
        None if packed.steps is None else rows(Step, packed.steps),
        rows(decision.Parameters, packed.parameters),
        (decision.new_state(), Run.new(), Work.new()),
        rows(Result, results),
        rule,
    )


@lean
def _each(
    scenarios: Any,
    classes: Any,
    steps: np.ndarray | None,
    parameters: Any,
    scratch: tuple[decision.State, Run, Work],
    results: Any,
    rule: Any,
) -> None:
    """Predict one after the other.

    Results go to memory that no cache holds yet; stores wait for it in their order, and those behind wait with
    them. So it is read two scenarios before it is written to.
    """
    state, kept, work = scratch
    run = owned(kept)
    last = len(scenarios) - 1
    for k in range(last + 1):
        later = results[min(k + 2, last)]
        run.read_ahead = later.action + later.zero_pages + later.points  # one of each cache line
        scenario = scenarios[k]
        precopy.precopy_one(
            scenario, classes[k], steps, parameters[k], state, run, work, results[k], None, None, rule
        )
        if steps is not None and results[k].action == decision.POSTCOPY:
            postcopy.postcopy_one(scenario, run, work, results[k], None)
