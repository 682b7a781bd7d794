"""A short part of the ends of commands: each says where the guest is, exits as documented, and leaves nothing."""

import os
import resource
import subprocess
import sys

import pytest

from migkit.traces import io
from tests.conftest import require
from tests.verification.ends import Case, ends

pytestmark = [pytest.mark.live, pytest.mark.untimed]
SHORT = ("full-disk", "few-descriptors", "two-signals", "dead-parent")


def first_of(kind):
    """Return the first seed that draws a kind of end."""
    return next(number for number in range(10**4) if Case.drawn(number).kind == kind)


@pytest.mark.parametrize("kind", SHORT)
def test_a_command_ends_in_order(kind):
    require(os.geteuid() == 0 or kind != "full-disk", "not root: no file system of its own; run as root")
    _, wrong = ends([first_of(kind)])
    assert wrong == []


def test_an_address_space_that_is_too_small_for_the_processes_of_a_run_is_said_at_once(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (393 << 20, 393 << 20))

    command = [sys.executable, "-m", "migkit", "capture", "--memory", "16 MiB", "-o", str(tmp_path / "run.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=60)
    assert done.returncode == 1
    assert "limited to 393 MiB; the processes of a run need 448 MiB" in done.stderr
    assert done.stderr.rstrip().endswith("no guest was started")


@pytest.mark.verification
@pytest.mark.timeout(7200)
def test_five_hundred_ends():
    _, wrong = ends(range(500))
    assert wrong == []


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_a_guest_is_moved_also_where_standard_streams_are_closed(tmp_path, closed):
    def close():
        for number in closed:
            os.close(number)

    output = tmp_path / "run.parquet"
    asked = ("--memory", "16 MiB", "--dirty", 'region = "2 MiB", writes_per_s = 1000', "--max-bandwidth", "1 Gbit/s")
    command = [sys.executable, "-m", "migkit", "capture", *asked, "-o", str(output)]
    done = subprocess.run(command, check=False, preexec_fn=close, timeout=120)
    assert done.returncode == 0
    assert io.read(output).outcome.verified
