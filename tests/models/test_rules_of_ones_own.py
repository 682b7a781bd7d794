"""Rules that a researcher registers and that are wrong: each gets an answer."""

import math

import numpy as np
import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, jit, predict, predict_many, register_policy, simulate
from migkit.errors import UsageError
from migkit.policies import decision
from migkit.scenario.policy import pack

GUEST = Guest(memory_bytes=2**24, dirty=(DirtyClass(region_bytes=2**22, writes_per_s=1500),))


@register_policy("returns-seven")
def returns_seven(state, parameters):
    decision.under_limit(state, parameters, 0.0)
    return 7


@register_policy("always-syncs")
def always_syncs(state, parameters):
    decision.under_limit(state, parameters, 0.0)
    return decision.SYNC


@register_policy("throttles-by-nan")
def nan(state, parameters):
    """Its name is also that of an attribute that it uses."""
    decision.under_limit(state, parameters, 0.0)
    state.throttle = math.nan
    return decision.CONTINUE


@register_policy("throttles-too-much")
def too_much(state, parameters):
    state.throttle = 5.0
    return decision.under_limit(state, parameters, 0.3)


@register_policy("no-progress", settings={"rounds": 10}, memory=["least_bytes", "best_iteration"])
def no_progress(state, parameters):
    memory = state.memory
    if state.event == decision.SYNCED and (memory.best_iteration == 0 or state.remaining_bytes < memory.least_bytes):
        memory.least_bytes = state.remaining_bytes
        memory.best_iteration = state.iteration
    if state.iteration - memory.best_iteration >= parameters.settings.rounds:
        return decision.ABORT
    return decision.under_limit(state, parameters, parameters.downtime_limit_s)


def test_a_rule_reads_its_settings_and_what_it_remembers_by_name():
    guest = Guest(memory_bytes=2**26, layout="blocks", dirty=(DirtyClass(region_bytes=2**24, writes_per_s=50_000),))
    few, many = (
        Scenario(
            guest=guest,
            host=Host(platform="qemu-tcg"),
            policy=Policy.named("no-progress", rounds=rounds, max_bandwidth_bytes_per_s=2e7),
        )
        for rounds in (3, 20)
    )
    predicted = [predict(case, level=None) for case in (few, many)]
    assert [one.verdict for one in predicted] == ["aborted", "aborted"]
    assert predicted[1].iterations - predicted[0].iterations == 17  # the least is left at the same sync
    simulated = simulate(few).runs[0]
    assert simulated.verdict == "aborted"
    assert simulated.iterations > 3


def test_a_rule_means_the_same_in_plain_python_and_compiled():
    state, parameters = decision.new_state(), pack(Policy.named("no-progress"))
    state.event, state.iteration, state.remaining_bytes = decision.SYNCED, 4.0, 1e9
    compiled, rule = state.copy(), Policy(name="no-progress").decider
    assert rule(state, parameters) == decision.CONTINUE
    jit.compile_kernels()
    assert decision.decide(compiled, parameters, jit.callback(rule)) == decision.CONTINUE
    np.testing.assert_array_equal(state.memory, compiled.memory)
    assert compiled.memory.numbers[:2].tolist() == [1e9, 4.0]


def test_what_is_no_action_is_said():
    with pytest.raises(UsageError, match="policy returns-seven: its rule returned 7, which is no action; return"):
        predict(guest=GUEST, policy=Policy(name="returns-seven"))
    with pytest.raises(UsageError, match="its rule returned 7, which is no action"):
        predict_many(pd.DataFrame({"memory_bytes": [2**28], "policy": ["returns-seven"]}))


@pytest.mark.parametrize("name", ["always-syncs", "throttles-by-nan"])
def test_a_rule_that_never_lets_go_is_not_decided(name):
    found = predict(guest=GUEST, policy=Policy(name=name), level=None)
    assert (found.verdict, found.total_time_s) == ("does_not_converge", math.inf)
    assert np.isfinite(found.guest_slowdown)


def test_a_throttle_is_held_below_1():
    found = predict(guest=GUEST, policy=Policy(name="throttles-too-much"), level=None)
    assert found.verdict == "converges"
    assert max(one.throttle for one in found.rounds) == decision.MOST_THROTTLE
