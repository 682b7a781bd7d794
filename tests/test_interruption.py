"""Signals that ask a command to end, at moments where Python itself would lose them or change how it ends."""

import os
import subprocess
import sys

import pytest

from tests.conftest import TOP

IN_A_FINALIZER = """
import os, signal, time, weakref
class Held: pass
held = Held()
told = weakref.ref(held, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del held
time.sleep(30)
"""
IN_AN_EXEC = "exec('import os, signal; os.kill(os.getpid(), signal.SIGTERM)')"


@pytest.mark.parametrize("content", [IN_A_FINALIZER, IN_AN_EXEC], ids=["finalizer", "exec"])
def test_an_interruption_is_never_lost_and_has_its_exit_code(tmp_path, content):
    module = tmp_path / "interrupted.py"
    module.write_text(content)
    command = [sys.executable, "-m", "migkit", "schema", "--import", str(module)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, env=os.environ | {"PYTHONPATH": str(TOP)}
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "migkit: interrupted\n")
