import csv
import io
import json

import pytest
from click.testing import CliRunner

from migkit.cli import compare, predict
from migkit.errors import InfeasibleError, UsageError
from migkit.scenario import policy
from migkit.scenario.policy import presets
from migkit.scenario.strategy import STRATEGIES

FILE = """
[guest]
memory = "256 MiB"
[[guest.dirty]]
region = "64 MiB"
writes_per_s = 3000
[policy]
name = "nova"
max_bandwidth = "60 MB/s"
[policy.settings]
steps = 4
[strategy]
name = "hybrid"
postcopy_after = "1 s"
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text(FILE)
    return str(file)


def run(*arguments, command=compare.command):
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_every_policy_with_every_strategy(path, monkeypatch):
    built_in = {preset.name: preset for preset in presets() if preset.rule is None}
    monkeypatch.setattr(policy, "_presets", built_in)  # not the rules that other tests registered
    rows = json.loads(run(path, "--policies", "all", "--strategies", "all", "--format", "json"))
    names = [preset.name for preset in presets() if preset.rule is None]
    postcopy = {preset.name for preset in presets() if preset.system.postcopy.has}
    can = {(p, s) for p in names for s in STRATEGIES if p in postcopy or s in ("precopy", "stopcopy")}
    assert {(row["policy"], row["strategy"]) for row in rows} == can
    assert all(row["verdict"] == "converges" for row in rows if row["strategy"] != "precopy")


def test_a_row_is_what_predict_says(path):
    rows = list(csv.DictReader(io.StringIO(run(path, "--strategies", "hybrid,stopcopy", "--format", "csv"))))
    assert [row["strategy"] for row in rows] == ["hybrid", "stopcopy"]
    alone = next(csv.DictReader(io.StringIO(run(path, "--format", "csv", command=predict.command))))
    assert {key: rows[0][key] for key in alone} == alone


def test_the_scenario_s_cap_holds_for_every_policy(path):
    rows = json.loads(run(path, "--policies", "qemu,libvirt", "--strategies", "stopcopy", "--format", "json"))
    assert rows[0]["total_time_s"] == pytest.approx(rows[1]["total_time_s"], rel=0.01)


def test_the_table_has_a_line_for_each(path, tmp_path):
    text = run(path, "--policies", "qemu,nova")
    assert len(text.splitlines()) == 1 + 2 * len(STRATEGIES)
    assert run(path, "--policies", "qemu,nova", "-q", "-o", str(tmp_path / "table.txt")) == ""
    assert (tmp_path / "table.txt").read_text().strip() == text.strip()


def test_a_guest_that_stays_has_no_downtime(path):
    text = run(path, "--policies", "qemu", "--dirty", 'region = "128 MiB", writes_per_s = 1e6')
    header, row = (next(line for line in text.splitlines() if word in line) for word in ("downtime", "does_not"))
    end = header.index("downtime") + len("downtime")
    assert row[end - len("downtime") : end].strip() == ""


def test_names_that_are_not_known(path):
    with pytest.raises(UsageError) as caught:
        run(path, "--strategies", "precopy,copy")
    assert str(caught.value) == (
        "strategies: 'copy' is not known; use all, or some of precopy, stopcopy, postcopy, hybrid"
    )
    with pytest.raises(UsageError, match=r"^policies: 'vmotion' is not known; use all, or some of qemu, "):
        run(path, "--policies", "vmotion")


def test_exit_3_when_nothing_converges(path):
    with pytest.raises(InfeasibleError) as caught:
        run(
            path, "--policies", "qemu", "--strategies", "precopy", "--dirty", 'region = "128 MiB", writes_per_s = 1e6'
        )
    assert str(caught.value) == "it converges under none of them; the reasons are in the result"


def test_names_may_be_repeated_and_all_may_stand_among_them(path):
    twice = run(
        path, "--policies", "qemu", "--policies", "nova", "--strategies", "stopcopy,stopcopy", "--format", "csv"
    )
    assert [(row["policy"], row["strategy"]) for row in csv.DictReader(io.StringIO(twice))] == [
        ("qemu", "stopcopy"),
        ("nova", "stopcopy"),
    ]
    among = run(path, "--strategies", "all,stopcopy", "--format", "csv")
    assert [row["strategy"] for row in csv.DictReader(io.StringIO(among))] == list(STRATEGIES)
    with pytest.raises(UsageError, match="strategies: 'foo' is not known; use all, or some of"):
        run(path, "--strategies", "all,foo")
