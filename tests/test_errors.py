import subprocess
import sys

import pytest

from migkit import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MigkitError, 1),
        (errors.RunError, 1),
        (errors.UsageError, 2),
        (errors.TraceError, 2),
        (errors.InfeasibleError, 3),
        (errors.CapabilityError, 4),
    ],
)
def test_exit_codes(error, code):
    assert error("x").exit_code == code
    assert issubclass(error, errors.MigkitError)


def test_wrong_input_is_a_value_error_too():
    assert issubclass(errors.UsageError, ValueError)


def test_every_error_is_public():
    family = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert family | {"counted", "printable", "shown"} == set(errors.__all__)


def test_an_unknown_command_is_one_line_and_exit_2():
    run = subprocess.run([sys.executable, "-m", "migkit", "fly"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", "migkit: No such command 'fly'.\n")


def test_a_terminal_is_told_nothing_by_what_a_command_line_quotes():
    command = [sys.executable, "-m", "migkit", "predict", "--no\x1b[2J\x07such\nflag"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.rstrip("\n").isprintable()
    assert r"\x1b[2J" in done.stderr


def test_a_message_is_one_line_whatever_it_quotes():
    assert str(errors.UsageError("key 'a\nb\u2028' µs")) == "key 'a\\nb\\u2028' µs"
