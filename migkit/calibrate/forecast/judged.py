"""What QEMU's rule that throttles has seen by now, from the rounds so far: the rule itself is run over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from migkit.models import goodput as paths
from migkit.models.midway import Judged
from migkit.policies import decision
from migkit.policies.throttling import HIGH_PERIODS, throttle

if TYPE_CHECKING:
    from migkit.calibrate.guest.rounds import Observed
    from migkit.importers import Log
    from migkit.scenario import Scenario

__all__ = ["judged_so_far"]


def judged_so_far(log: Log, observed: Observed | None, case: Scenario) -> Judged:
    """Return what the rule remembers after the last sync; nothing where it does not throttle, or no sync was seen.

    Parameters
    ----------
    log
        The readings, from which follows what was sent by each sync.
    observed
        The rounds.
    case
        The scenario, for the rule's parameters.

    Examples
    --------
    >>> from migkit.calibrate.forecast.belief import beliefs
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/autoconverge-16t-1.json.gz"))[0].until(38.0)
    >>> log.meta["capabilities"]["auto-converge"] = True
    >>> beliefs(log)[0].standing.judged.high_periods
    1.0
    """
    if observed is None or not case.strategy.auto_converge:
        return Judged()
    told = log.frame[log.frame["sent_bytes"].notna() & log.frame["t_s"].notna()]
    times, sent = told["t_s"].to_numpy(float), told["sent_bytes"].to_numpy(float)
    parameters = paths.packed(case)[0].of_one()[3]
    state = decision.new_state()
    memory, iteration = state.throttling, 1.0
    for one in observed.rounds:
        iteration += one.syncs
        _correct(state, one.throttle)
        state.event, state.iteration = decision.SYNCED, iteration
        state.now_s = one.start_s + one.window_s * one.syncs
        state.sent_bytes = float(np.interp(state.now_s, times, sent))
        state.dirtied_pages = one.marked_pages * one.syncs
        throttle(state, parameters)
    _correct(state, float(np.nan_to_num(log.frame["throttle"].iloc[-1])))
    return Judged(
        float(memory.evaluated_s), float(memory.sent_bytes), float(memory.dirtied_pages), float(memory.high_periods)
    )


def _correct(state: decision.State, throttled: float) -> None:
    """Set the throttle to what QEMU says: a step that it did not make waits for one more period."""
    if throttled != state.throttle:
        state.throttling.high_periods = HIGH_PERIODS - 1.0 if state.throttle > throttled else 0.0
        state.throttle = throttled
