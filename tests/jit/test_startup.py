"""numba is made ready whatever other threads do meanwhile."""

import os
import subprocess
import sys

CHANGED_MEANWHILE = """
import builtins
import migkit.engine.precopy
from migkit.jit import compile_kernels

class Cell:
    @property
    def __class__(self):  # numba asks for it when it comes here on its way through the builtins
        builtins.display = print  # as another thread may do just then
        return object

builtins.cell = Cell()
compile_kernels()
print(migkit.engine.precopy.precopy_one.signatures)
"""


def test_a_builtin_that_another_thread_adds_meanwhile_as_at_each_cell_of_a_notebook():
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "-c", CHANGED_MEANWHILE], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
