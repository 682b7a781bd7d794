"""Many migrations of any strategy: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import layout, postcopy, precopy, run_state
from migkit.engine.records import Result, Run
from migkit.jit import lean, rows
from migkit.policies import decision
from migkit.policies.record import Parameters

__all__ = ["migrate_many", "without_steps"]


def without_steps(records: np.ndarray, stride: int, steps: np.ndarray, parameters: Parameters, rule: Any) -> Any:
    """Return ``steps``, or None where the kernels may take None for it: they are compiled for plain scenarios then.

    In these QEMU's rule alone decides, nothing changes with time, and all pages sent in full cost alike: what is
    compiled for them takes a quarter of the time, and is faster.
    """
    table = records.reshape(-1, stride)
    own = parameters.view(decision.Parameters.dtype_of())
    plain = rule is None and steps.size == 0
    for slot in (layout.FILL_ZERO, layout.XBZRLE_PAGES, layout.WRITE_FAULT_S):
        plain = plain and not table[:, slot].any()
    for name, value in _PLAIN.items():
        plain = plain and bool((own[name] == value).all())
    return None if plain else steps


_PLAIN: Final = {
    "policy": decision.QEMU,
    "strategy": decision.PRECOPY,
    "throttle_rule": decision.NO_THROTTLE,
}


def migrate_many(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray | None,
    parameters: Parameters,
    results: np.ndarray,
    rule: Any,
) -> None:
    """Predict many migrations: the k-th lies ``k * stride`` into ``records`` and alike in the others.

    Parameters
    ----------
    records, steps
        Packed scenarios, one behind the other; ``steps`` is shared, or what :func:`without_steps` says.
    stride
        Slots of one record.
    parameters
        Those of the policies, one behind the other.
    results
        Receives those of all, one behind the other.
    rule
        A policy of one's own for all of them, or None.
    """
    scratch = (
        decision.new_state(),
        Run.new(),
        np.zeros(run_state.WORK_SLOTS),
    )
    _each(
        records.reshape(-1, stride),
        steps,
        rows(decision.Parameters, parameters),
        scratch,
        rows(Result, results),
        rule,
    )


@lean
def _each(
    records: np.ndarray,
    steps: np.ndarray | None,
    parameters: Parameters,
    scratch: tuple[decision.State, Run, np.ndarray],
    results: Any,
    rule: Any,
) -> None:
    """Predict one after the other.

    Results go to memory that no cache holds yet; stores wait for it in their order, and those behind wait with
    them. So it is read two scenarios before it is written to.
    """
    state, run, work = scratch
    last = records.shape[0] - 1
    for k in range(last + 1):
        later = results[min(k + 2, last)]
        run.read_ahead = later.action + later.zero_pages + later.points  # one of each cache line
        precopy.precopy_one(records[k], steps, parameters[k], state, run, work, results[k], None, None, rule)
        if steps is not None and results[k].action == decision.POSTCOPY:
            postcopy.postcopy_one(records[k], run, work, results[k], None)
