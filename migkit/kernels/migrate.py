"""One migration of any strategy, and many: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from migkit.kernels import layout, policy, postcopy, precopy, precopy_state
from migkit.kernels._jit import inlined, jit, lean

__all__ = ["migrate_many", "migrate_one"]


@inlined
def migrate_one(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray,
    line: np.ndarray,
    rule: Any,
) -> None:
    """Predict one migration; the arguments are those of :func:`migkit.kernels.precopy.precopy_one`."""
    precopy.precopy_one(record, steps, parameters, state, run, work, result, rounds, line, rule)
    if result[layout.ACTION] == policy.POSTCOPY:
        postcopy.postcopy_one(record, run, work, result, line)


@jit
def migrate_many(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray,
    parameters: np.ndarray,
    results: np.ndarray,
    rule: Any,
) -> None:
    """Predict many migrations: the k-th lies ``k * stride`` into ``records`` and alike in the others.

    Parameters
    ----------
    records, steps
        Packed scenarios, one behind the other; ``steps`` is shared.
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
        np.zeros(0),
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
    steps: np.ndarray,
    parameters: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    results: np.ndarray,
    rule: Any,
) -> None:
    state, run, work, empty = scratch
    for k in range(records.shape[0]):
        migrate_one(records[k], steps, parameters[k], state, run, work, results[k], empty, empty, rule)
