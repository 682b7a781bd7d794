"""Python processes of migkit's own, which import nothing from the folder that they happen to be started in.

They find migkit, and what it needs, where this process does.
"""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["leave_working_folder", "python", "search_path"]

_HOME: Final = os.path.realpath(__file__).rpartition("/migkit/")[0]
# Ours comes before what is installed, which may be another migkit; what this process alone knows comes last.
_START: Final = """
import sys
home, others = {!r}, {!r}
sys.path[:] = ([] if home in sys.path else [home]) + sys.path
sys.path += [path for path in others if path not in sys.path]
"""


def python(code: str) -> list[str]:
    """Return the command that runs ``code`` in a Python of its own, isolated (``-I``).

    Neither the working folder nor PYTHON* variables of the environment say what it imports: its path is that of
    the interpreter, the folder that holds this package, and those of :func:`search_path`.

    Examples
    --------
    >>> import subprocess
    >>> subprocess.run(python("import migkit"), cwd="/").returncode
    0
    """
    return [sys.executable, "-I", "-c", _START.format(_HOME, search_path()) + code]


def search_path() -> list[str]:
    """Return the folders that this process imports from, but for the working folder and what is relative to it.

    Examples
    --------
    >>> all(path.startswith("/") for path in search_path())
    True
    """
    here = os.path.realpath(".")
    return [path for path in sys.path if path.startswith("/") and os.path.realpath(path) != here]


def leave_working_folder() -> None:
    """Take the working folder from where ``python -m`` puts it: before everything that is installed.

    Examples
    --------
    >>> import subprocess
    >>> code = "from migkit import isolation; isolation.leave_working_folder(); import sys; print('' in sys.path)"
    >>> subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    'False\\n'
    """
    if not sys.flags.safe_path and sys.path and os.path.realpath(sys.path[0] or ".") == os.path.realpath("."):
        del sys.path[0]
