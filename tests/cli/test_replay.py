"""``migkit replay``: rules over a record, as a table and as JSON, and what is refused."""

import json

import pytest
from click.testing import CliRunner

from migkit.cli.replay import command
from migkit.errors import MigkitError
from migkit.traces import data

RECORD = str(data.data_path("kvm_database/precopy-4t-1.json.gz"))


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=True)


def test_the_table_has_a_row_for_each_rule():
    found = run(RECORD, "--policy", "qemu", "--policy", "proxmox")
    assert found.exit_code == 0, found.output
    header, first, second = found.output.splitlines()
    assert header.split() == ["policy", "it", "at", "left", "that", "takes", "it", "ordered"]
    assert first.startswith("qemu     switches over")
    assert "limit 100 ms at 0 s" in second


def test_json_has_times_and_orders():
    found = json.loads(run(RECORD, "--policy", "nova", "--setting", "steps=2", "--format", "json").output)
    assert [one["policy"] for one in found] == ["nova"]
    assert found[0]["orders"][0][1] == "downtime_limit_s"


def test_a_limit_of_ones_own_counts():
    sooner = json.loads(run(RECORD, "--policy", "qemu", "--downtime-limit", "10 s", "--format", "json").output)[0]
    later = json.loads(run(RECORD, "--policy", "qemu", "--format", "json").output)[0]
    assert sooner["t_s"] < later["t_s"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((RECORD, "--policy", "windows"), "policy.name: 'windows' is not known"),
        ((RECORD, "--policy", "nova", "--setting", "steps"), "'steps' is not NAME=NUMBER"),
        ((RECORD, "--policy", "nova", "--setting", "hops=3"), "policy.settings.hops: not a setting of nova"),
        ((RECORD, "--setting", "steps=3"), "--setting: name one rule with --policy"),
        (("nowhere.log",), "log nowhere.log: cannot be read"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(arguments, said):
    found = run(*arguments)
    assert isinstance(found.exception, MigkitError)
    assert found.exception.exit_code == 2
    assert said in str(found.exception)
