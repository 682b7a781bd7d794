import dataclasses

import pyarrow as pa
import pytest

from migkit.errors import TraceError


def bad_samples(column, values):
    return lambda trace, with_column: {"samples": with_column(trace.samples, column, values)}


def bad_rounds(column, values):
    return lambda trace, with_column: {"rounds": with_column(trace.rounds, column, values)}


CASES = {
    "kind": (lambda t, w: {"kind": "guess"}, "kind 'guess' is not one of"),
    "time falls": (bad_samples("monotonic_ns", [5, 4, 6, 7, 8]), "monotonic_ns falls from 5 to 4 in row 1"),
    "sent falls": (bad_samples("sent_bytes", [3, 2, 3, 4, 5]), "sent_bytes falls"),
    "iteration falls": (bad_samples("iteration", [1, 0, 1, 2, 3]), "iteration falls"),
    "dirtied falls": (bad_samples("dirtied_pages", [1, 0, 1, 2, 3]), "dirtied_pages falls"),
    "phase": (bad_samples("phase", ["setup", "sleep", "done", "done", "done"]), "'sleep' is not one of"),
    "negative": (bad_samples("remaining_bytes", [0, -1, 0, 0, 0]), "remaining_bytes is -1 in row 1"),
    "operations": (bad_samples("guest_operations", [0, -2, 0, 0, 0]), "guest_operations is -2"),
    "sent too much": (bad_samples("sent_bytes", [0, 0, 0, 0, 2**62]), "last sample says"),
    "rounds skip": (bad_rounds("iteration", [1, 3, 4]), "count 1, 2, 3"),
    "rounds sum": (bad_rounds("sent_bytes", [1, 2, 3]), "the rounds sent 6 B"),
    "nan": (bad_rounds("sync_s", [0.0, float("nan"), 0.0]), "sync_s is nan in row 1"),
    "endless": (bad_rounds("duration_s", [0.0, float("inf"), 0.0]), "duration_s is inf in row 1"),
    "start falls": (bad_rounds("start_s", [1.0, 0.5, 2.0]), "start_s falls"),
    "no samples": (lambda t, w: {"samples": t.samples.slice(0, 0)}, "samples are empty"),
    "empty cell": (bad_samples("sent_bytes", [0, None, 0, 0, 0]), "sent_bytes has empty cells"),
    "column missing": (lambda t, w: {"samples": t.samples.drop_columns(["phase"])}, "missing phase"),
    "column unknown": (lambda t, w: {"rounds": t.rounds.append_column("x", pa.array([1, 2, 3]))}, "unknown x"),
    "column type": (
        lambda t, w: {"samples": t.samples.set_column(2, "iteration", t.samples["iteration"].cast("int64"))},
        "iteration is int64, not int32",
    ),
    "column order": (
        lambda t, w: {"rounds": t.rounds.select(t.rounds.column_names[::-1])},
        "not in the order of the schema",
    ),
    "machine": (lambda t, w: {"machine": {"cpu": object()}}, "machine cannot be written as JSON"),
    "machine tuple": (lambda t, w: {"machine": {"cpu": (1, 2)}}, "machine does not survive JSON"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_inconsistent_trace_is_refused(case, make_trace, with_column):
    trace = make_trace()
    change, message = CASES[case]
    with pytest.raises(TraceError) as error:
        dataclasses.replace(trace, **change(trace, with_column))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "fine"}, "'fine' is not one of"),
        ({"total_time_s": float("nan")}, "total_time_s is nan"),
        ({"downtime_s": -1.0}, "downtime_s is -1.0"),
        ({"transferred_bytes": "many"}, "transferred_bytes is 'many'"),
        ({"downtime_parts_s": {"load_s": float("inf")}}, "downtime_parts_s[load_s] is inf"),
    ],
)
def test_an_impossible_outcome_is_refused(change, message, make_trace):
    with pytest.raises(TraceError) as error:
        dataclasses.replace(make_trace().outcome, **change)
    assert message in str(error.value)


def test_iterations_are_the_rounds(make_trace):
    trace = make_trace()
    with pytest.raises(TraceError, match="3 rounds, but the outcome says 4 iterations"):
        dataclasses.replace(trace, outcome=dataclasses.replace(trace.outcome, iterations=4))
