"""``migkit lint``."""

import json

import pytest
from click.testing import CliRunner

from migkit.cli import lint
from migkit.errors import InfeasibleError, UsageError

INVENTORY = """name,memory_bytes,bandwidth_bytes_per_s,dirty_1_region_bytes,dirty_1_writes_per_s
calm,4294967296,125000000,0,0
hot,34359738368,125000000,8589934592,300000
"""
SCENARIO = """[guest]
memory = "2 GiB"
[link]
bandwidth = "1 Gbit/s"
"""


def run(*arguments):
    """Return what the command printed on stdout, and the error that it ended with."""
    result = CliRunner().invoke(lint.command, [str(one) for one in arguments], standalone_mode=False)
    return result.stdout, result.exception


@pytest.fixture
def nova(tmp_path):
    path = tmp_path / "nova.conf"
    path.write_text("[libvirt]\nlive_migration_downtime = 500\n")
    return path


def test_a_right_file_ends_with_0(nova):
    printed, error = run(nova)
    assert (printed, error) == ("nothing is wrong\n", None)


def test_a_finding_says_file_line_what_why_source_and_what_to_do(nova):
    nova.write_text("[libvirt]\nlive_migration_downtime = 50\n")
    printed, error = run(nova)
    assert f"{nova}:2: error: live_migration_downtime = 50: it must be at least 100 ms" in printed
    assert "To do: write live_migration_downtime = 500" in printed
    assert "https://docs.openstack.org/" in printed
    assert isinstance(error, InfeasibleError)


def test_a_note_ends_with_0(tmp_path):
    path = tmp_path / "datacenter.cfg"
    path.write_text("bwlimit: migration=1024000\n")
    printed, error = run(path)
    assert "note: migrations go through an SSH tunnel" in printed
    assert error is None


def test_machines_of_an_inventory_are_predicted(nova, tmp_path):
    inventory = tmp_path / "vms.csv"
    inventory.write_text(INVENTORY)
    printed, error = run(nova, "--inventory", inventory, "--format", "json")
    record = json.loads(printed)
    assert {one["name"]: one["outcome"] for one in record["machines"]} == {
        "calm": "converges",
        "hot": "does not converge",
    }
    assert record["holds"] is False
    assert error.exit_code == 3


def test_a_scenario_is_one_machine(nova, tmp_path):
    scenario = tmp_path / "web.toml"
    scenario.write_text(SCENARIO)
    printed, error = run(nova, "--scenario", scenario, "--format", "json")
    assert [one["name"] for one in json.loads(printed)["machines"]] == ["web"]
    assert error is None


def test_quiet_ends_with_3_and_says_nothing_more(nova):
    nova.write_text("[libvirt]\nlive_migration_downtime = 50\n")
    _, error = run(nova, "-q")
    assert isinstance(error, SystemExit)
    assert error.code == 3


def test_an_inventory_and_a_scenario_are_refused(nova):
    _, error = run(nova, "--inventory", "a.csv", "--scenario", "b.toml")
    assert isinstance(error, UsageError)
    assert "leave out one" in str(error)


def test_a_missing_inventory_is_refused(nova, tmp_path):
    _, error = run(nova, "--inventory", tmp_path / "none.csv")
    assert isinstance(error, UsageError)
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("named", [("vm", "host", "memory"), ("Guest", "Node", "RAM")])
def test_machines_of_a_drain_are_taken_as_well(nova, tmp_path, named):
    inventory = tmp_path / "vms.csv"
    inventory.write_text(",".join(named) + ",dirty_rate,dirty_window\nweb,a,4 GiB,1 MB/s,1 s\n")
    columns = zip(("vm", "host", "memory"), named, strict=True)
    given = [part for ours, theirs in columns if ours != theirs for part in ("--vm-column", f"{ours}={theirs}")]
    printed, error = run(nova, "--inventory", inventory, "--format", "json", *given)
    assert error is None
    assert [one["name"] for one in json.loads(printed)["machines"]] == ["web"]


def test_machines_of_a_drain_in_base_units_are_taken_as_well(nova, tmp_path):
    inventory = tmp_path / "vms.csv"
    inventory.write_text("vm,host,memory_bytes,priority\nweb,a,4294967296,0\n")
    assert run(nova, "--inventory", inventory)[1] is None


def test_columns_without_an_inventory_are_refused(nova):
    error = run(nova, "--vm-column", "vm=Name")[1]
    assert isinstance(error, UsageError)
    assert str(error).startswith("--vm-column: there is no inventory")
