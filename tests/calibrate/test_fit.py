import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.calibrate.fit import FITTED, _least_squares, fit
from migkit.calibrate.observe import Block
from migkit.errors import InfeasibleError, UsageError
from migkit.models.predict import predict
from migkit.scenario import Host

TLS = {"tls": True}
TOLD = [name for name in FITTED if name != "write_fault_s"]


def test_exact_traces_give_the_constants_back(design, computed, true_host):
    calibration = fit([computed(s) for s in design], require=FITTED)
    for name in TOLD:
        # a round without a cap ends at the next look at the rule, which counts as time over its zero pages
        allowed = 0.15 if name == "zero_page_cpu_s" else 0.01
        assert getattr(calibration.host, name) == pytest.approx(getattr(true_host, name), rel=allowed), name
    assert calibration.refused == {}
    assert set(calibration.constants) == set(FITTED)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32),
    goodput=st.floats(3e8, 4e9),
    per_page=st.floats(1e-8, 2e-7),
    quiesce=st.floats(1e-3, 2e-2),
    load=st.floats(2e-3, 3e-2),
)
def test_any_constants_are_recovered_within_their_errors(
    design, computed, true_host, seed, goodput, per_page, quiesce, load
):
    host = dataclasses.replace(
        true_host,
        goodput_bytes_per_s=goodput,
        postcopy_bytes_per_s=0.7 * goodput,
        tls_bytes_per_s=0.4 * goodput,
        sync_per_page_s=per_page,
        quiesce_s=quiesce,
        load_s=load,
    )
    runs = [dataclasses.replace(s, host=host) for s in design]
    calibration = fit([computed(s, seed=seed + i) for i, s in enumerate(runs)])
    for name in TOLD:
        error = abs(getattr(calibration.host, name) - getattr(host, name))
        allowed = 6 * calibration.standard_errors[name] + 0.05 * getattr(host, name)
        assert error <= allowed, name


def test_standard_errors_are_those_of_repeated_fits(design, computed, true_host):
    fits = [fit([computed(s, seed=100 * k + i) for i, s in enumerate(design)]) for k in range(12)]
    for name in ("goodput_bytes_per_s", "setup_s", "quiesce_s"):
        spread = np.std([getattr(f.host, name) for f in fits], ddof=1)
        said = np.median([f.standard_errors[name] for f in fits])
        assert 0.3 < said / spread < 4.0, name


def test_more_runs_give_smaller_errors(design, computed):
    few = fit([computed(s, seed=i) for i, s in enumerate(design)])
    many = fit([computed(s, seed=i) for i, s in enumerate(design * 6)])
    assert many.standard_errors["quiesce_s"] < few.standard_errors["quiesce_s"]


@pytest.mark.parametrize(
    ("changes", "name", "advice"),
    [
        ([{}, {"cap": 5e7}], "goodput_bytes_per_s", "add a run without a cap"),
        ([{}, {"cap": 5e7}], "zero_page_cpu_s", "without a cap of a guest with zero memory"),
        ([{}, {"cap": 5e7}], "sync_base_s", "at least 1.5 times the memory"),
        ([{"zero_mib": 0}], "zero_page_bytes", "add a run of a guest with zero memory"),
        ([{"writes_per_s": 0.0}], "write_fault_s", "writes at a steady rate"),
        ([{"cap": np.inf}], "tls_bytes_per_s", "add a run without a cap with tls"),
        ([{"cap": np.inf, "encoding": TLS}], "zstd_bytes_per_s", "add a run without a cap with zstd"),
        ([{"cap": np.inf, "encoding": TLS}], "goodput_bytes_per_s", "add a run without a cap"),
        ([{"cap": 1e7, "writes_per_s": 2e4, "time_limit_s": 3.0}], "load_s", "add a run that converges"),
        ([{"cap": 1e7, "writes_per_s": 2e4, "time_limit_s": 3.0}], "quiesce_s", "add a run that converges"),
        ([{"cap": 1e7, "writes_per_s": 2e4, "time_limit_s": 3.0}], "resume_s", "add a run that converges"),
    ],
)
def test_what_traces_cannot_tell_is_refused_with_the_run_to_add(scenario, computed, changes, name, advice):
    traces = [computed(scenario(**change)) for change in changes]
    with pytest.raises(InfeasibleError, match=advice) as error:
        fit(traces, require=[name])
    assert error.value.exit_code == 3
    assert name in str(error.value)
    calibration = fit(traces)
    assert advice in calibration.refused[name]
    assert name not in calibration.standard_errors
    assert getattr(calibration.host, name) == getattr(Host(platform="qemu-tcg"), name)


@pytest.mark.parametrize(
    ("added", "name"),
    [
        ({"cap": np.inf}, "goodput_bytes_per_s"),
        ({"strategy": "stopcopy", "cap": np.inf}, "goodput_bytes_per_s"),
        ({"memory_mib": 512}, "sync_base_s"),
        ({"zero_mib": 64}, "zero_page_bytes"),
        ({"cap": np.inf, "encoding": TLS}, "tls_bytes_per_s"),
        ({"cap": np.inf, "encoding": {"compression": "lz4"}}, "lz4_bytes_per_s"),
    ],
)
def test_the_run_that_is_asked_for_does_tell(scenario, computed, added, name):
    base = computed(scenario(zero_mib=0))
    with pytest.raises(InfeasibleError):
        fit([base], require=[name])
    assert name in fit([base, computed(scenario(**{"zero_mib": 0} | added))], require=[name]).standard_errors


def test_a_sync_cost_of_one_guest_size_is_kept_for_that_size(scenario, computed, true_host):
    calibration = fit([computed(scenario()), computed(scenario(cap=5e7))])
    pages = scenario().guest.memory_pages
    assert calibration.host.sync_per_page_s * pages == pytest.approx(
        true_host.sync_base_s + true_host.sync_per_page_s * pages, rel=0.01
    )


def test_one_disturbed_run_does_not_decide(design, computed, true_host):
    traces = [computed(s, seed=i) for i, s in enumerate(design * 2)]
    outcome = traces[0].outcome
    parts = dict(outcome.downtime_parts_s) | {"quiesce_s": 0.2}
    traces[0] = dataclasses.replace(traces[0], outcome=dataclasses.replace(outcome, downtime_parts_s=parts))
    assert fit(traces).host.quiesce_s == pytest.approx(true_host.quiesce_s, rel=0.3)


def test_no_traces_and_unlike_traces_are_refused(scenario, computed):
    with pytest.raises(UsageError, match="no traces were given"):
        fit([])
    one = computed(scenario())
    with pytest.raises(UsageError, match="differ in kind"):
        fit([one, dataclasses.replace(one, kind="harness")])
    with pytest.raises(UsageError, match="differ in processor"):
        fit([one, dataclasses.replace(one, machine={"processor": "other"})])
    with pytest.raises(UsageError, match="no constant that runs tell"):
        fit([one], require=["failures_per_h"])


def test_a_calibration_is_reproducible(design, computed):
    traces = [computed(s, seed=i) for i, s in enumerate(design)]
    assert fit(traces) == fit(traces)


def test_constants_drawn_scatter_as_their_errors(design, computed):
    calibration = fit([computed(s, seed=i) for i, s in enumerate(design)])
    rng = np.random.default_rng(1)
    drawn = [calibration.draw(rng).setup_s for _ in range(400)]
    assert np.std(drawn) == pytest.approx(calibration.standard_errors["setup_s"], rel=0.2)


def test_predictions_draw_fitted_constants_with_their_errors(design, computed, scenario):
    few = fit([computed(one, seed=at, scatter=0.1) for at, one in enumerate(design)])
    speed = few.host.goodput_bytes_per_s
    error = few.standard_errors["goodput_bytes_per_s"]
    assert error / speed < speed.spread <= np.hypot(error / speed, 0.1)  # and each run is off by its own scatter
    case = scenario(cap=np.inf, zero_mib=0)
    exact = dataclasses.replace(few.host, **{name: float(getattr(few.host, name)) for name in few.constants})
    widths = [
        high_s - low_s
        for host in (exact, few.host)
        for low_s, high_s in [predict(dataclasses.replace(case, host=host)).interval.total_time_s]
    ]
    assert widths[1] > widths[0]


def test_the_same_run_twice_is_refused(scenario, computed):
    one = computed(scenario(), seed=1)
    with pytest.raises(UsageError, match="runs 1 and 3 of 3 hold the same readings"):
        fit([one, computed(scenario(), seed=2), computed(scenario(), seed=1)])


def test_rows_that_agree_by_chance_are_not_known_beyond_what_each_can_be_measured_to():
    block = Block("two", ("setup_s",), np.ones((2, 1)), np.array([0.002, 0.002]), np.full(2, 5e-4), "two rows")
    error = float(np.sqrt(_least_squares(block).covariance[0, 0]))
    assert 5e-4 / 2 <= error <= 5e-4
