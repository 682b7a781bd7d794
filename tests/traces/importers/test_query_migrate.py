import contextlib
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migkit.errors import TraceError
from migkit.traces import data
from migkit.traces.importers import read_query_migrate, read_reference


def answer(time_ms, status="active", **ram):
    counters = {"remaining": 10**6, "transferred": 10**5, "dirty-sync-count": 1, "mbps": 800.0} | ram
    return {"status": status, "total-time": time_ms, "ram": counters}


LOG = [
    {"status": "setup"},
    answer(100),
    {"return": answer(200, **{"dirty-sync-count": 2}), "id": "7"},
    {"event": "MIGRATION_PASS", "data": {"pass": 2}},
    answer(5500, "completed", normal=50, duplicate=7, **{"page-size": 4096}) | {"downtime": 12, "setup-time": 3},
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LOG) + "\n")
    return path


def test_names_and_units_are_ours(log):
    frame, meta = read_query_migrate(log)
    assert frame["t_s"].tolist() == pytest.approx([0.1, 0.2, 5.5])
    assert frame["phase"].tolist() == ["precopy", "precopy", "done"]
    assert frame["iteration"].tolist() == [1, 2, 1]
    assert frame["bandwidth_bytes_per_s"].tolist() == [1e8] * 3
    assert meta["downtime_s"] == pytest.approx(0.012)
    assert (meta["normal_pages"], meta["zero_pages"], meta["page_bytes"]) == (50, 7, 4096)
    assert meta["postcopy_faults"] is None


def test_a_packed_log_reads_alike(log):
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert read_query_migrate(packed)[0].equals(read_query_migrate(log)[0])


@pytest.mark.parametrize("run", list(data.reference_timelines())[:6])
def test_reference_readings_have_the_columns_of_a_log(run, log):
    frame, meta = read_reference(run)
    assert set(frame.columns) == set(read_query_migrate(log)[0].columns)
    assert frame["t_s"].is_monotonic_increasing
    assert frame["sent_bytes"].iloc[-1] <= meta["transferred_bytes"] * 1.01


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1 is no JSON"),
        (["[1]", '{"event": "STOP"}'], "no line is an answer"),
        ([json.dumps(answer(1, "flying"))], "status 'flying' is not known"),
        ([json.dumps(answer(200)), json.dumps(answer(100))], "runs backwards"),
        ([json.dumps(answer(1, remaining="all"))], "ram.remaining is 'all', not a number"),
        ([json.dumps({"status": "active", "ram": {}})], "total-time is missing"),
    ],
)
def test_bad_logs_are_refused_in_one_line(tmp_path, lines, message):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(TraceError) as error:
        read_query_migrate(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_runs(tmp_path, log):
    with pytest.raises(TraceError, match="No such file"):
        read_query_migrate(tmp_path / "none")
    with pytest.raises(TraceError, match="no readings of it"):
        read_reference("z1")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(log.read_bytes())[:40])
    with pytest.raises(TraceError, match="cannot be read"):
        read_query_migrate(cut)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(raw=st.binary(max_size=400), at=st.integers(0, 400))
def test_altered_logs_give_only_trace_errors(log, raw, at):
    whole = log.read_bytes()
    path = log.with_name("altered")
    path.write_bytes(whole[:at] + raw + whole[at + len(raw) :])
    with contextlib.suppress(TraceError):
        read_query_migrate(path)
