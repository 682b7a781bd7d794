"""Corrections of intervals: learned from some workloads, honest about the others."""

import dataclasses

import numpy as np
import pytest

from migkit import Guest, Scenario
from migkit.calibrate.accuracy.agreement import summary
from migkit.calibrate.accuracy.conformal import learned, left_out
from migkit.calibrate.accuracy.scored import Origin, predicted, scored

CASE = Scenario(guest=Guest(memory_bytes=2**28))
KIND = ("qemu-kvm", False)


@pytest.fixture(scope="module")
def told():
    return predicted(CASE)


def runs_of(told, workload, factors, host="one"):
    """Runs that lie beyond the upper bound that was drawn by these factors."""
    high_s = told.interval.drawn.total_time_s[1]
    return [
        scored(Origin(f"{at}", workload, host), CASE, total_time_s=high_s * factor, prediction=told)
        for at, factor in enumerate(factors)
    ]


def test_the_correction_is_a_quantile_over_groups_of_the_same_weight(told):
    many = [run for at in range(9) for run in runs_of(told, f"w{at}", [0.99])]
    many += runs_of(told, "often", [1.2] * 500)
    assert learned(many)[KIND].total_time == pytest.approx(0.0)  # one group of ten, however many runs it has
    many += runs_of(told, "rarely", [1.2])
    found = learned(many)[KIND]
    assert found.total_time == pytest.approx(np.log(1.2))
    assert (found.groups, found.hosts) == (11, 1)


def test_fewer_than_nine_groups_teach_nothing(told):
    few = [run for at in range(8) for run in runs_of(told, f"w{at}", [1.1] * 20)]
    assert learned(few) == {}
    for before, after in zip(few, left_out(few), strict=True):
        assert after.prediction.interval.total_time_s == before.prediction.interval.drawn.total_time_s


def test_a_run_is_corrected_by_what_was_learned_without_its_workload(told):
    many = [run for at in range(9) for run in runs_of(told, f"w{at}", [1.05])] + runs_of(told, "far", [2.0])
    fair = {run.origin.workload: run for run in left_out(many)}
    assert fair["w0"].holds("total_time_s")
    assert not fair["far"].holds("total_time_s")  # nothing of it taught its own interval
    assert fair["far"].width("total_time_s") < fair["w0"].width("total_time_s") * 1.5


def test_runs_of_one_host_and_workload_are_never_split(told):
    many = [run for at in range(9) for run in runs_of(told, f"w{at}", [0.99])]
    many += runs_of(told, "same", [1.5, 1.5, 1.5])
    assert not any(run.holds("total_time_s") for run in left_out(many) if run.origin.workload == "same")


def test_verdicts_that_are_wrong_and_numbers_not_reported_teach_nothing(told):
    many = [run for at in range(9) for run in runs_of(told, f"w{at}", [0.99])]
    wrong = runs_of(told, "wrong", [3.0])[0]
    measured = wrong.measured._replace(verdict="timed_out")
    many += [dataclasses.replace(wrong, measured=measured)]
    assert learned(many)[KIND].groups == 9
    assert learned(many)[KIND].downtime == 0.0


def test_a_summary_counts_what_was_reported(told):
    found = summary(runs_of(told, "w", [0.9, 2.0]))
    assert (found.rows, found.verdicts, found.total_time_s.intervals, found.total_time_s.held) == (2, 0, 2, 1)
    assert found.total_time_s.coverage == 0.5
    assert np.isnan(found.downtime_s.coverage)
    assert found.to_dict()["downtime_s"]["median"] is None
