"""``migkit size``."""

import json

import pytest
from click.testing import CliRunner

from migkit.cli import size
from migkit.errors import InfeasibleError, UsageError

GUEST = ("--memory", "8 GiB", "--dirty", 'region = "1 GiB", writes_per_s = 200000')


def run(*arguments):
    """Return what the command printed on stdout; its errors come through."""
    result = CliRunner().invoke(size.command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_answer_is_a_sentence_and_a_table():
    printed = run(*GUEST, "--max-total-time", "30 s")
    assert printed.startswith("least bandwidth: ")
    assert "total time at most 30 s" in printed
    assert "->" in printed


def test_json_has_the_answer_and_the_curve():
    wide = ("--link-bandwidth", "25 Gbit/s", "--max-bandwidth", "25 Gbit/s", "--host-goodput", "25 Gbit/s")
    record = json.loads(run(*GUEST, *wide, "--find", "parallel", "--format", "json"))
    assert record["unknown"] == "parallel"
    assert record["beside"] == record["value"] + 1
    assert record["value"] in {near["value"] for near in record["curve"]}


def test_a_file_of_the_curve_is_written(tmp_path):
    run(*GUEST, "-o", str(tmp_path / "curve.csv"))
    assert (tmp_path / "curve.csv").read_text().startswith("value,holds,verdict,total_time_s")


def test_exit_code_3_where_nothing_does():
    with pytest.raises(InfeasibleError, match="no bandwidth does") as error:
        run(*GUEST, "--host-goodput", "1 Gbit/s")
    assert error.value.exit_code == 3


@pytest.mark.parametrize("text", ["5", "0 %", "101 %", "a %", "nan %", "5 % of it"])
def test_a_slowdown_is_a_percentage(text):
    with pytest.raises(UsageError, match="--max-slowdown"):
        run(*GUEST, "--max-slowdown", text)
