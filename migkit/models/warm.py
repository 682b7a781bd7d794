"""Compile the kernels of a prediction while a person already works with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from migkit.errors import RunError

__all__ = ["compile_now", "warm_up"]

_CODE: Final = "from migkit.models.warm import compile_now; compile_now()"


def warm_up() -> None:
    """Make predictions of this process compiled ones, without holding up those made meanwhile.

    Another process compiles into the cache on disk first, so that this one only loads what is
    there; until then its predictions are plain Python, equal to the last bit.

    Raises
    ------
    RunError
        The kernels cannot be compiled here.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise RunError(f"kernels: cannot be compiled here ({said[0]}); predictions stay right, but slow")
    compile_now()


def compile_now() -> None:
    """Compile the kernels that :func:`migkit.models.predict.predict` runs, or load them from the cache.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> before = predict(guest=Guest(memory_bytes=2**24))
    >>> compile_now()
    >>> predict(guest=Guest(memory_bytes=2**24)) == before
    True
    """
    from migkit.kernels._jit import compile_kernels
    from migkit.models.predict import predict
    from migkit.scenario import DirtyClass, Guest, Scenario, Strategy

    compile_kernels()
    guest = Guest(memory_bytes=2**24, dirty=(DirtyClass(region_bytes=2**22, writes_per_s=100.0),))
    for name in ("precopy", "postcopy"):
        predict(Scenario(guest=guest, strategy=Strategy(name=name)), level=None)
