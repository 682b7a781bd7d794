"""The data sets that predictions are compared with."""

import math
import shutil

import pytest

from migkit.calibrate.accuracy import field_reports, gigabit, kvm_database, published, reference_runs
from migkit.calibrate.accuracy.agreement import summary
from migkit.calibrate.accuracy.datasets import DATASETS, chosen
from migkit.calibrate.accuracy.scoreboard import Part
from migkit.errors import TraceError, UsageError
from migkit.traces import data


def test_no_run_is_predicted_from_itself(tmp_path):
    for name in ("precopy-4t-1", "precopy-4t-2", "precopy-4t-3"):
        shutil.copy(data.data_path(f"kvm_database/{name}.json.gz"), tmp_path)
    runs = list(kvm_database.score(tmp_path))
    assert len(runs) == 6
    assert all(one.origin.run.split(" from ")[0] not in one.origin.run.split(" from ")[1] for one in runs)
    assert {one.group for one in runs} == {("one host, Unix socket", "precopy-4t")}
    assert summary(runs).total_time_s.median < 0.05


def test_a_busy_guest_is_judged_by_its_verdict_alone(tmp_path):
    for name in ("precopy-16t-1", "precopy-16t-2"):
        shutil.copy(data.data_path(f"kvm_database/{name}.json.gz"), tmp_path)
    runs = list(kvm_database.score(tmp_path))
    assert [one.verdict_right for one in runs] == [True, True]
    assert all(one.error("total_time_s") is None for one in runs)


def test_hosts_measured_with_one_size_predict_another_one():
    rows = [row for row in data.gigabit_runs() if row["strategy"] == "hybrid"]
    big = gigabit.hosts([row for row in rows if row["memory_MiB"] == 8192])
    assert 1e-7 < big.zero_page_cpu_s < 2e-6
    assert 0.0 < big.zero_page_cpu_s.spread < 0.2
    small = gigabit.hosts(
        [row for row in rows if row["memory_MiB"] == 1024]
    )  # whose zero pages take no time to speak of
    assert small.zero_page_cpu_s.spread > big.zero_page_cpu_s.spread


def test_a_published_row_needs_a_link_or_cap_and_its_memory():
    cases = {row["id"]: published.scenario(row) for row in data.published_measurements()}
    told = {name: case for name, case in cases.items() if case is not None}
    assert len(told) >= 15
    assert cases["fph_off_a"] is None  # counts fewer pages than its memory holds
    assert told["qpl_none_1G(B_2"].policy.max_bandwidth_bytes_per_s == pytest.approx(2**30, rel=1e-3)
    assert math.isinf(told["qpl_none_1G(B_2"].link.bandwidth_bytes_per_s)
    assert told["orcl_vfio2"].guest.devices == (("vfio", 2.0),)


def test_reports_are_compared_only_where_they_give_the_number():
    runs = {one.origin.run: one for one in field_reports.score()}
    assert len(runs) == 12
    assert runs["clusterlabs"].verdict_right is None
    assert runs["postcopy-arm64"].error("total_time_s") is None
    assert runs["postcopy-arm64"].error("downtime_s") is not None


def test_reference_runs_that_were_cancelled_count_by_their_verdict():
    row = next(row for row in data.reference_runs() if row["status"] == "timeout")
    assert reference_runs.scenario(row, "qemu-10").policy.time_limit_s == row["time_limit_s"]


@pytest.mark.parametrize(
    ("given", "said"), [("kvm", "'kvm' is no data set"), ("gigabit=/missing", "/missing: is no folder")]
)
def test_bad_names_are_one_line(given, said):
    with pytest.raises(UsageError, match=said):
        chosen((given,))


def test_a_folder_without_its_table_is_named(tmp_path):
    dataset, folder = chosen((f"gigabit={tmp_path}",))["gigabit"]
    with pytest.raises(TraceError, match=r"sysbench_kvm_1gbit\.csv: cannot be read"):
        list(dataset.score(folder))


def test_every_data_set_has_a_title():
    assert all(one.title for one in DATASETS.values())


def test_the_frame_of_a_part_has_a_row_for_what_was_both_measured_and_predicted():
    runs = list(DATASETS["published"].score(None))
    frame = Part("all", runs, summary(runs), summary(runs)).to_frame()
    told = {name: sum(run.error(name) is not None for run in runs) for name in ("total_time_s", "downtime_s")}
    counts = frame["quantity"].value_counts()
    assert counts["total time [s]"] == told["total_time_s"]
    assert counts["downtime [s]"] == told["downtime_s"]
    first = frame.iloc[0]
    assert (first["run"], first["predicted"]) == (runs[0].origin.run, runs[0].prediction.total_time_s)
    assert tuple(frame.iloc[0][["low", "high"]]) == runs[0].prediction.interval.total_time_s
