import selectors
import subprocess
import sys

import pytest

from migkit.errors import RunError
from migkit.models import warm


def test_predictions_are_compiled_afterwards_and_equal():
    code = (
        "from migkit import DirtyClass, Guest, predict\n"
        "from migkit.engine import precopy\n"
        "from migkit.models import warm\n"
        "guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**27, writes_per_s=9000.0),))\n"
        "plain = predict(guest=guest)\n"
        "warm.warm_up()\n"
        "assert predict(guest=guest) == plain\n"
        "import numba\n"
        "assert numba.config.DISABLE_JIT or any('Dispatcher' in type(v).__name__ for v in vars(precopy).values())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_simulator_is_compiled_behind_the_predictions():
    code = (
        "from migkit.models import warm\n"
        "warm.compile_now = lambda: print('predictions', flush=True)\n"
        f"{warm._CODE}{warm._SIMULATOR}\n"
        "from migkit.simulator import precopy\n"
        "import numba\n"
        "assert numba.config.DISABLE_JIT or 'Dispatcher' in type(precopy.pages_one).__name__\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "predictions\n"


def test_a_second_process_waits_for_the_one_that_compiles(tmp_path):
    """Both make their way through; the second only loads, and so never writes to the cache."""
    code = (
        "import sys, os\n"
        "from migkit.models import warm\n"
        "warm.compile_now = lambda: print('compiles', flush=True) or sys.stdin.read(1)\n"
        "warm.compile_once()\n"
    )
    start = {"args": [sys.executable, "-c", code], "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(**start) as first, subprocess.Popen(**start) as second:
        ready = {first: first.stdout, second: second.stdout}
        with selectors.DefaultSelector() as selector:
            for process, stream in ready.items():
                selector.register(stream, selectors.EVENT_READ, process)
            (key, _), *others = selector.select()
            assert not others
            holder = key.data
            assert holder.stdout.readline() == "compiles\n"
            selector.unregister(holder.stdout)
            assert selector.select(timeout=0.5) == []  # the other waits
        waiter = second if holder is first else first
        holder.communicate("x")
        assert waiter.stdout.readline() == "compiles\n"
        waiter.communicate("x")
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_process_that_is_killed_while_it_compiles_lets_the_next_one_go_on():
    code = "from migkit.models import warm; warm.compile_now = lambda: print('go', flush=True) or input();"
    code += "warm.compile_once()"
    start = {"args": [sys.executable, "-c", code], "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(**start) as first:
        assert first.stdout.readline() == "go\n"
        with subprocess.Popen(**start) as second:
            first.kill()
            assert second.stdout.readline() == "go\n"
            second.communicate("\n")
    assert second.returncode == 0


def test_a_failure_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(warm, "_CODE", "raise OSError('the disk is full')")
    with pytest.raises(RunError, match="the disk is full"):
        warm.warm_up()


def test_kernels_turn_compiled_between_two_runs_and_never_within_one():
    """An explorer compiles in a thread while a notebook predicts: the two forms of a record must not meet."""
    code = (
        "import sys, threading\n"
        "from migkit import DirtyClass, Guest, Scenario, jit, predict\n"
        "from migkit.models.midway import Standing, rest\n"
        "sys.setswitchinterval(1e-5)\n"
        "dirty = (DirtyClass(region_bytes=2**28, writes_per_s=6e4),)\n"
        "case = Scenario(guest=Guest(memory_bytes=2**30, dirty=dirty))\n"
        "standing = Standing(now_s=8.0, synced_s=7.0, iteration=2, ahead=0.5, shares=(0.4,))\n"
        "def both():\n"
        "    return float(rest(case, standing).total_s), predict(case, level=None).total_time_s\n"
        "plain = both()\n"
        "thread = threading.Thread(target=jit.compile_kernels)\n"
        "thread.start()\n"
        "while thread.is_alive():\n"
        "    assert both() == plain\n"
        "assert both() == plain\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
