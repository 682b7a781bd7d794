"""``migkit drain``: the plan as a table, CSV, JSON, Parquet and a picture, and one line for what is wrong."""

import csv
import io
import json
import re

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from migkit.cli import drain
from migkit.errors import InfeasibleError, UsageError

VMS = "vm,host,memory,dirty_rate,dirty_window\nweb,a,4 GiB,5 MB/s,1 s\ndb,a,16 GiB,20 MB/s,1 s\napp,b,2 GiB,,\n"
HOSTS = "host,memory,link\na,64 GiB,10 Gbit/s\nb,64 GiB,10 Gbit/s\nc,64 GiB,10 Gbit/s\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "vms.csv").write_text(VMS)
    (tmp_path / "hosts.csv").write_text(HOSTS)
    return ["--inventory", str(tmp_path / "vms.csv"), "--hosts", str(tmp_path / "hosts.csv")]


def run(*arguments, code=None):
    result = CliRunner().invoke(drain.command, arguments, standalone_mode=False)
    if result.exception is not None and code is None:
        raise result.exception
    return result


def test_the_plan_in_every_form(files, tmp_path):
    asked = [*files, "--empty", "a", "--policy", "libvirt", "--rounds", "5", "-q"]
    table = run(*asked).stdout
    assert "2 moves empty 1 host in" in table
    assert "checked by a replay" in table
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--format", "csv").stdout)))
    assert {row["vm"] for row in rows} == {"web", "db"}
    plan = json.loads(run(*asked, "--format", "json").stdout)
    assert [move["vm"] for move in plan["moves"]] == [row["vm"] for row in rows]
    assert plan["makespan_s"] >= plan["lower_bound_s"] > 0
    run(*asked, "-o", str(tmp_path / "plan.parquet"))
    assert pq.read_table(tmp_path / "plan.parquet").num_rows == 2
    run(*asked, "--report", str(tmp_path / "plan.html"))
    assert "web: a to " in (tmp_path / "plan.html").read_text()


def test_a_deadline_that_is_missed_ends_with_3(files):
    asked = [*files, "--empty", "a", "--policy", "libvirt", "--improve", "0 s", "-q"]
    with pytest.raises(
        InfeasibleError,
        match=r"^drain: the plan is too late: the deadline is 5 s, the plan takes .* no plan can keep it",
    ):
        run(*asked, "--deadline", "5 s")
    late = run(*asked, "--deadline", "5 s", code=3)
    assert re.match(r"2 moves empty 1 host in .* s: .* s too late for the deadline of 5 s\n", late.stdout)
    plan = json.loads(run(*asked, "--deadline", "5 s", "--format", "json", code=3).stdout)
    assert plan["is_in_time"] is False
    assert plan["late_by_s"] == pytest.approx(plan["makespan_s"] - 5.0)
    kept = run(*asked, "--deadline", "30 min").stdout
    assert ", within the deadline of 30 min\n" in kept


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--empty", "z"], "'z' is not among the 3 hosts"),
        (["--empty", ","], "--empty: no host was given"),
        (["--empty", "all"], "all 3 hosts at once leave none"),
        (["--empty", "a", "--deadline", "30"], '--deadline: "30" has no unit'),
        (["--empty", "a", "--deadline", "-3 min"], "is negative"),
        (["--empty", "a", "--limits", "vmwre"], "limits: 'vmwre' is not known"),
        (["--empty", "a", "--policy", "qmu"], "policy.name"),
        (["--empty", "a", "--max-bandwidth", "10"], "has no unit"),
        (["--empty", "a", "--scenario", "nowhere.toml"], "cannot be read"),
        (["--empty", "a", "--vm-column", "memory"], "says no column"),
        (["--empty", "a", "--at-once", "1"], "at_once: 1 is the size of a wave, and all hosts are emptied in one"),
        (["--empty", "a", "--workload", "redis"], "'redis' is not known"),
    ],
)
def test_wrong_questions(files, asked, said):
    with pytest.raises(UsageError) as caught:
        run(*files, *asked, "-q")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_that_are_missing_or_wrong(files, tmp_path):
    with pytest.raises(UsageError, match="--hosts: it is missing"):
        run(*files[:2], "--empty", "a")
    (tmp_path / "vms.csv").write_text("vm,host,memory\nx,a,4\ny,q,4 GiB\n")
    result = run(*files, "--empty", "a", code=2)
    assert isinstance(result.exception, UsageError)
    lines = result.stderr.splitlines()
    assert lines[0].split()[:4] == ["table", "row", "column", "value"]
    assert len(lines) == 3
    assert str(result.exception) == "inventory: 2 things are wrong, as the table above says; correct the rows"
    quiet = run(*files, "--empty", "a", "-q", code=2)
    assert quiet.stderr == ""
    assert 'vms row 1, memory: "4" has no unit' in str(quiet.exception)
    (tmp_path / "vms.csv").write_text("vm,host,memory\n" + "".join(f"v{k},a,4\n" for k in range(300)))
    result = run(*files, "--empty", "a", code=2)
    assert [line.split()[:3] for line in result.stderr.splitlines()[1:]] == [["vms", "1-300", "memory"]]
    assert "inventory: 300 things are wrong" in str(result.exception)


def test_a_drain_under_way_is_planned_anew(files, tmp_path):
    state = tmp_path / "state.csv"
    state.write_text("vm,destination,progress\nweb,c,1\ndb,b,0.5\n")
    asked = [*files, "--empty", "a", "--policy", "libvirt", "--rounds", "5", "-q", "--format", "csv"]
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--state", str(state)).stdout)))
    assert [(row["vm"], row["destination"]) for row in rows] == [("db", "b")]
    whole = {row["vm"]: row for row in csv.DictReader(io.StringIO(run(*asked).stdout))}
    assert float(rows[0]["end_s"]) < float(whole["db"]["end_s"])
    with pytest.raises(UsageError, match=r"--state .*none\.csv: cannot be read"):
        run(*asked, "--state", str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="waves cannot go on in the middle"):
        run(*asked, "--state", str(state), "--rolling")


def test_each_host_on_its_own(files, tmp_path):
    (tmp_path / "vms.csv").write_text(
        VMS.replace("\n", ",\n").replace("window,", "window,pinned") + "gpu,c,1 GiB,,,GPU\n"
    )
    asked = [*files, "--each", "--policy", "libvirt", "--deadline", "30 minutes"]
    found = run(*asked, code=3)
    assert found.stdout.splitlines()[0].startswith("2 of 3 hosts can be emptied within 30 min, each while all others")
    assert found.stdout.splitlines()[3].split()[:2] == ["c", "no"]
    assert str(found.exception) == "drain: c misses the deadline or has no plan; the table says why, and what to do"
    assert run(*asked, "-q", "--empty", "b,a").stdout.startswith("2 of 2 hosts can be emptied")
    rows = json.loads(run(*asked, "-q", "--format", "json", code=3).stdout)["hosts"]
    assert [row["host"] for row in rows] == ["c", "a", "b"]
    assert rows[0]["empty_s"] is None
    run(*asked, "-q", "-o", str(tmp_path / "each.parquet"), code=3)
    assert pq.read_table(tmp_path / "each.parquet").num_rows == 3


@pytest.mark.parametrize("option", [["--rolling"], ["--service", "5 min"], ["--report", "x.html"], ["--exact"]])
def test_each_host_has_no_common_plan(files, option):
    with pytest.raises(UsageError, match=f"--each: it cannot stand with {option[0]}, which asks for one plan"):
        run(*files, "--empty", "all", "--each", *option)


def test_a_host_that_is_empty_already(files):
    table = run(*files, "--empty", "c", "--format", "csv", "-q").stdout
    assert table == "vm,source,destination,wave,kind,start_s,end_s,share_bytes_per_s\n"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffvm;destination;progress\r\nweb;c;1\r\ndb;b;0.5\r\n",
        "vm,destination,progress,\nweb,c,1,\ndb,b,0.5,\n",
        '[{"vm": "web", "destination": "c", "progress": 1}, {"vm": "db", "destination": "b", "progress": 0.5}]',
    ],
    ids=["semicolons", "an empty column", "JSON"],
)
def test_a_state_is_read_as_an_inventory_is(files, tmp_path, text):
    (tmp_path / "state").write_text(text, newline="")
    asked = [*files, "--empty", "a", "--policy", "libvirt", "--rounds", "5", "-q", "--format", "csv"]
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--state", str(tmp_path / "state")).stdout)))
    assert [(row["vm"], row["destination"]) for row in rows] == [("db", "b")]


def test_a_drain_that_has_not_begun_is_planned_whole(files, tmp_path):
    (tmp_path / "state.csv").write_text("vm,destination,progress\n")
    table = run(
        *files, "--empty", "a", "--policy", "libvirt", "--rounds", "0", "-q", "--state", str(tmp_path / "state.csv")
    )
    assert table.stdout.startswith("2 moves empty 1 host in ")
