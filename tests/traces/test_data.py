import pytest

from migkit.errors import TraceError
from migkit.traces import data, read


def test_reference_runs_are_complete_and_typed():
    runs = data.reference_runs()
    assert len(runs) == 63
    assert {run["status"] for run in runs} == {"completed", "timeout"}
    assert all(run["total_time_s"] > 0 and run["transferred_bytes"] > 0 for run in runs)
    assert all(c["kind"] in ("random", "sweep") for run in runs for c in run["classes"])
    assert [run["downtime_s"] is None for run in runs] == [run["status"] == "timeout" for run in runs]


def test_timelines_belong_to_runs_and_go_forward():
    runs = {run["run"] for run in data.reference_runs()}
    lines = data.reference_timelines()
    assert lines.keys() <= runs
    assert len(lines) == 32
    for rows in lines.values():
        times = [row["t_s"] for row in rows]
        assert times == sorted(times)


def test_every_published_row_has_its_source_and_a_name_of_its_own():
    rows = data.published_measurements()
    assert len({row["id"] for row in rows}) == len(rows) == 83
    assert all(row["ref"] for row in rows)


def test_shipped_files_are_those_of_the_manifest():
    assert {"qemu/reference_runs.csv", "published_measurements.csv"} <= set(data.verify())


def test_shipped_traces_are_readable():
    for path in data.shipped_traces():
        assert read(path).outcome.verified


def test_a_missing_file_is_named():
    with pytest.raises(TraceError, match=r"data none\.csv"):
        data.data_path("none.csv")


def test_the_data_of_an_installed_wheel_come_first(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_text("a")
    monkeypatch.setattr(data, "_HOMES", (tmp_path, *data._HOMES))
    assert data.data_path("x.csv") == tmp_path / "x.csv"
