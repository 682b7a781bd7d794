"""``migkit tradeoffs``."""

import json

import pytest
from click.testing import CliRunner

from migkit.cli import tradeoffs
from migkit.errors import UsageError

GUEST = ("--memory", "8 GiB", "--dirty", 'region = "1 GiB", writes_per_s = 60000', "--bandwidth", "10 Gbit/s")


def run(*arguments):
    result = CliRunner().invoke(tradeoffs.command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_front_and_the_one_change_are_printed():
    printed = run(*GUEST)
    assert "->" in printed
    assert "As it is, it does not converge. One change helps: " in printed


def test_json_has_every_option():
    rows = json.loads(run(*GUEST, "--policy", "xen", "--format", "json", "--weight", "downtime=2"))
    assert sum(row["is_best"] for row in rows) == 1
    assert {"changes", "verdict", "risk"} <= rows[0].keys()


@pytest.mark.parametrize(("text", "message"), [("speed=1", "names no goal"), ("risk=x", "has no number")])
def test_a_wrong_weight_is_one_line(text, message):
    with pytest.raises(UsageError, match=message):
        run(*GUEST, "--weight", text)
