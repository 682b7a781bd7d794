"""``migkit accuracy`` on a few runs of one's own."""

import gzip
import json
import shutil

import pytest
from click.testing import CliRunner

from migkit.calibrate.accuracy.datasets import DATASETS
from migkit.cli.accuracy import command
from migkit.errors import UsageError
from migkit.traces import data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    for name in ("precopy-4t-1", "precopy-4t-2"):
        shutil.copy(data.data_path(f"kvm_database/{name}.json.gz"), home)
    return home


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False).output


def test_runs_of_ones_own_are_scored(folder):
    told = run(f"kvm-database={folder}")
    assert "pre-copy, 4 threads  total time     2" in told
    assert "2 right" in told
    assert "piecewise" in told


@pytest.mark.parametrize("flags", [["--json"], ["--format", "json"]])
def test_json_holds_every_run(folder, flags):
    told = json.loads(run(f"kvm-database={folder}", *flags))
    (part,) = told["datasets"]["kvm-database"]
    assert part["summary"]["verdicts_right"] == 2
    assert {"geometric", "working_set", "piecewise"} == part["summary"]["baselines"].keys()
    first = part["runs"][0]["total_time_s"]
    assert first["low"] < first["predicted"] < first["high"]
    assert told["corrections"] == []


def test_the_report_is_one_file_that_needs_no_network(folder, tmp_path):
    output = tmp_path / "report.html"
    run(f"kvm-database={folder}", "-o", output)
    page = output.read_text(encoding="utf-8")
    assert "pre-copy, 4 threads" in page
    assert "<script src=" not in page
    assert "<link" not in page.partition("<script")[0]


def test_a_folder_without_runs_is_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"holds no runs of kvm-database to compare; it takes .* of query-migrate"):
        run(f"kvm-database={tmp_path}")


@pytest.mark.parametrize("name", DATASETS)
def test_runs_of_another_form_are_one_line_that_tells_the_form(name, tmp_path):
    if name == "kvm-database":
        shutil.copy(data.data_path("traces/slow.parquet"), tmp_path)
    else:
        shutil.copy(data.data_path("kvm_database/precopy-4t-1.json.gz"), tmp_path)
    with pytest.raises(UsageError) as error:
        run(f"{name}={tmp_path}")
    assert f"holds no runs of {name} to compare; it takes {DATASETS[name].files}: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_single_trace_is_compared_with_nothing(tmp_path):
    shutil.copy(data.data_path("traces/slow.parquet"), tmp_path)
    with pytest.raises(UsageError, match=r"it takes \*\.parquet: two or more traces of migkit capture"):
        run(f"harness={tmp_path}")


def test_logs_that_tell_nothing_of_the_guest_are_one_line(tmp_path):
    log = b'{"status": "active", "total-time": 900, "ram": {"total": 1048576, "remaining": 4096}}'
    for number in (1, 2):
        (tmp_path / f"precopy-4t-{number}.json.gz").write_bytes(gzip.compress(log))
    with pytest.raises(UsageError, match="precopy-4t-1: says nothing of what its guest writes"):
        run(f"kvm-database={tmp_path}")


def test_a_trace_instead_of_a_data_set_is_told_how_to_be_given():
    trace = data.data_path("traces/slow.parquet")
    with pytest.raises(UsageError, match=r"is no data set; .*; runs of your own are given as NAME=FOLDER"):
        run(trace)
    with pytest.raises(UsageError, match=r"is no folder; name one that holds \*\.parquet: two or more traces"):
        run(f"harness={trace}")


def test_help_says_which_traces_it_takes():
    told = run("--help")
    assert "two or more traces, *.parquet, that migkit capture or" in told
    assert "answers of query-migrate, SERIES-RUN.json.gz" in told


def test_a_table_of_another_form_is_one_line(tmp_path):
    (tmp_path / "published_measurements.csv").write_text("id,strategy\na,precopy\n")
    with pytest.raises(UsageError, match=r"not runs of published .*data/README\.md"):
        run(f"published={tmp_path}")


def test_an_unknown_data_set_is_one_line():
    with pytest.raises(UsageError, match="'harnes' is no data set; use one of reference-runs"):
        run("harnes")
