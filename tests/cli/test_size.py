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


@pytest.mark.parametrize("text", ["95 %", "0.95", "95%"])
def test_a_probability_is_a_percentage_or_a_part_of_one(text):
    assert "with a probability of 95 %" in run(*GUEST, "--max-total-time", "30 s", "--probability", text)


@pytest.mark.parametrize(
    "text", ["95", "50 %", "0.5", "1", "100 %", "nan", "nan %", "inf", "-1", "95 % of all", "high"]
)
def test_what_is_no_probability(text):
    with pytest.raises(
        UsageError, match=r"^--probability: .* is no probability above 0\.5 and below 1; write it as in"
    ):
        run(*GUEST, "--probability", text)


@pytest.mark.parametrize(
    ("find", "said"),
    [
        ("memory", "no size of memory does: with 1 GiB it does not converge: the guest settles at"),
        ("parallel", "no number of migrations at once does: with 1 it does not converge: the guest settles at"),
        ("streams", "no number of streams does: with 256 it does not converge: the guest settles at"),
        (
            "max-bandwidth",
            "no cap does: with 100 Tbit/s it does not converge; hosts, streams and link carry 1 Gbit/s",
        ),
    ],
)
def test_what_no_value_does_is_said_once_with_its_reason_and_what_to_do(find, said):
    with pytest.raises(InfeasibleError) as caught:
        run(*GUEST, "--bandwidth", "1 Gbit/s", "--find", find)
    assert str(caught.value).startswith(f"size: {said}")
    assert str(caught.value).endswith("; ease the limits, or see which settings would do (migkit tradeoffs)")
