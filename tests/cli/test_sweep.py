"""``migkit sweep``."""

import pandas as pd
import pytest
from click.testing import CliRunner

from migkit.cli import sweep
from migkit.errors import UsageError


def run(*arguments):
    result = CliRunner().invoke(sweep.command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def test_keys_of_a_file_vary_in_their_units(tmp_path):
    folder = tmp_path / "found"
    run(
        *("--memory", "4 GiB", "--dirty", 'region = "64 MiB", writes_per_s = 100', "-o", str(folder)),
        *("--vary", 'link.bandwidth = ["1 Gbit/s", "10 Gbit/s"]', "--vary", 'policy.name = ["qemu", "xen"]'),
        *("--vary", "dirty_1.writes_per_s = {low = 100, high = 1e4, log = true, points = 3}"),
        *("--keep", "verdict,total_time_s"),
    )
    table = pd.read_parquet(folder)
    assert len(table) == 12
    assert sorted(table["bandwidth_bytes_per_s"].unique()) == [1.25e8, 1.25e9]
    assert sorted(table["dirty_1_writes_per_s"].unique()) == pytest.approx([100, 1000, 10000])
    assert list(table.columns[-2:]) == ["verdict", "total_time_s"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("guest.memory = [1]", "has no unit"),
        ('guest.memory = "1 GiB"', "neither a list of values nor a range"),
        ("guest.memory = {low = 1}", "a range has low, high"),
        ("memory = [1]", "names no table"),
        ('guest.dirty = ["x"]', "is no key that can vary"),
        ('guest.memory = {low = "1 GiB", high = "2 GiB", points = 100000000000}', "take at most 10,000,000"),
        ("guest.memory = ", "is not written as in a file"),
    ],
)
def test_a_wrong_axis_is_one_line(tmp_path, text, message):
    with pytest.raises(UsageError, match="--vary") as error:
        run("--vary", text, "-o", str(tmp_path / "f"))
    assert message in str(error.value)


def test_scenarios_that_contradict_themselves_are_told(tmp_path):
    axes = ("--vary", 'policy.name = ["qemu", "foo"]', "--vary", 'guest.memory = ["1 GiB"]')
    assert "1 of 2 scenarios contradict themselves" in run(*axes, "-o", str(tmp_path / "some")).stderr
    with pytest.raises(UsageError, match=r"1 of 1 scenarios .* number 0: .*streams"):
        run("--vary", "strategy.streams = [0]", "--memory", "1 GiB", "-o", str(tmp_path / "none"))
