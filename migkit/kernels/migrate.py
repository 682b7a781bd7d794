"""One migration of any strategy, and many: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.kernels import layout, policy, postcopy, precopy, precopy_state
from migkit.kernels._jit import inlined, jit, lean

__all__ = ["migrate_many", "migrate_one", "without_steps"]


@inlined
def migrate_one(
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray | None,
    line: np.ndarray | None,
    rule: Any,
) -> None:
    """Predict one migration; the arguments are those of :func:`migkit.kernels.precopy.precopy_one`."""
    precopy.precopy_one(record, steps, parameters, state, run, work, result, rounds, line, rule)
    if steps is not None and result[layout.ACTION] == policy.POSTCOPY:
        postcopy.postcopy_one(record, run, work, result, line)


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
    state, run, work = scratch
    for k in range(records.shape[0]):
        migrate_one(records[k], steps, parameters[k], state, run, work, results[k], None, None, rule)
