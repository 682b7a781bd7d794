"""Many migrations of any strategy: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.kernels import layout, policy, postcopy, precopy, precopy_state
from migkit.kernels._jit import jit, lean

__all__ = ["migrate_many", "without_steps"]

CACHE_LINE: Final = 8  # slots of it


def without_steps(records: np.ndarray, stride: int, steps: np.ndarray, parameters: np.ndarray, rule: Any) -> Any:
    """Return ``steps``, or None where the kernels may take None for it: they are compiled for plain scenarios then.

    In these QEMU's rule alone decides, nothing changes with time, and all pages sent in full cost alike: what is
    compiled for them takes a quarter of the time, and is faster.
    """
    table = records.reshape(-1, stride)
    own = parameters.reshape(-1, policy.PARAMETER_SLOTS)
    plain = rule is None and steps.size == 0
    for slot in (layout.FILL_ZERO, layout.XBZRLE_PAGES, layout.WRITE_FAULT_S):
        plain = plain and not table[:, slot].any()
    for slot, value in _PLAIN.items():
        plain = plain and bool((own[:, slot] == value).all())
    return None if plain else steps


_PLAIN: Final = {
    policy.POLICY: policy.QEMU,
    policy.STRATEGY: policy.PRECOPY,
    policy.THROTTLE_RULE: policy.NO_THROTTLE,
}


@jit
def migrate_many(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray | None,
    parameters: np.ndarray,
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
        ``policy.PARAMETER_SLOTS`` for each.
    results
        Receives ``layout.RESULT_SLOTS`` for each.
    rule
        A policy of one's own for all of them, or None.
    """
    scratch = (
        np.zeros(policy.STATE_SLOTS),
        np.zeros(precopy_state.RUN_SLOTS),
        np.zeros(precopy_state.WORK_SLOTS),
    )
    _each(
        records.reshape(-1, stride),
        steps,
        parameters.reshape(-1, policy.PARAMETER_SLOTS),
        scratch,
        results.reshape(-1, layout.RESULT_SLOTS),
        rule,
    )


@lean
def _each(
    records: np.ndarray,
    steps: np.ndarray | None,
    parameters: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray],
    results: np.ndarray,
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
        run[precopy_state.READ_AHEAD] = later[0] + later[CACHE_LINE] + later[2 * CACHE_LINE]
        precopy.precopy_one(records[k], steps, parameters[k], state, run, work, results[k], None, None, rule)
        if steps is not None and results[k, layout.ACTION] == policy.POSTCOPY:
            postcopy.postcopy_one(records[k], run, work, results[k], None)
