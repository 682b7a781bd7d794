"""``migkit rehearse``: the answer as a table, JSON and CSV, and one line for what is wrong."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from migkit.cli import rehearse
from migkit.errors import UsageError

VMS = "vm,host,memory,dirty_rate,dirty_window\nweb,a,4 GiB,5 MB/s,1 s\ndb,a,16 GiB,2 GB/s,1 s\napp,a,2 GiB,,\n"
HOSTS = "host,memory,link\na,64 GiB,10 Gbit/s\nb,64 GiB,10 Gbit/s\nc,64 GiB,10 Gbit/s\n"


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "vms.csv").write_text(VMS)
    (tmp_path / "hosts.csv").write_text(HOSTS)
    files = ["--inventory", str(tmp_path / "vms.csv"), "--hosts", str(tmp_path / "hosts.csv")]
    return [*files, "--empty", "a", "--draws", "17", "-q"]


def run(*arguments):
    result = CliRunner().invoke(rehearse.command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_answer_in_every_form(asked):
    table = run(*asked, "--deadline", "30 min", "--manager", "nova")
    assert "nova: empty within 30 min with 0 %; empty never with 50 %" in table
    assert "db       a" in table
    whole = json.loads(run(*asked, "--deadline", "1 h", "--format", "json"))
    assert whole["probability"] == 0.0
    assert whole["median_s"] is None
    assert {row["vm"] for row in whole["machines"]} == {"web", "db", "app"}
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--format", "csv"))))
    assert rows[0]["vm"] == "db"
    assert "given up" in rows[0]["why"]


def test_fixes_are_rehearsed(asked):
    table = run(*asked, "--deadline", "1 h", "--fixes")
    below = table.split("one setting changed\n")[1]
    assert "post-copy permitted" in below
    assert below.splitlines()[-1].startswith("as it is")


def test_limits_policy_and_cap_are_taken(asked):
    slow = json.loads(run(*asked, "--policy", "vmware-like", "--max-bandwidth", "1 Gbit/s", "--format", "json"))
    fast = json.loads(run(*asked, "--policy", "vmware-like", "--max-bandwidth", "4 Gbit/s", "--format", "json"))
    assert slow["median_s"] > 1.5 * fast["median_s"]


def test_a_change_is_told_machine_by_machine(asked):
    table = run(*asked, "--manager", "vmware", "--against", "nova", "--deadline", "1 h")
    assert table.startswith("from vmware (vmware-like) to nova\nattempts are given up more often: 1 machine (db)")
    whole = json.loads(run(*asked, "--manager", "openshift", "--against", "openshift-2026", "--format", "json"))
    assert {"before", "after", "machines", "given_up", "stays"} <= set(whole)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--against", "novo"], "'novo' is no manager"),
        (["--against", "nova", "--fixes"], "ask one of the two"),
        (["--manager", "novo"], "'novo' is not known"),
        (["--fail", "a@5"], "says nothing; write link:HOST@TIME"),
        (["--fail", "link:a@5"], "5"),
        (["--fail", "link:a@5 s=200 %"], "is no part of a link"),
        (["--fail", "host:z@5 s"], "'z' is not among the 3 hosts"),
        (["--deadline", "soon"], "--deadline"),
    ],
)
def test_what_is_wrong_is_one_line(asked, more, said):
    with pytest.raises(UsageError, match=said):
        run(*asked, *more)
