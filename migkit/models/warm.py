"""Compile the kernels of predictions and simulations while a person already works with them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from migkit import isolation
from migkit.errors import RunError
from migkit.jit import can_compile

__all__ = ["compile_now", "compile_once", "compile_simulator", "compiling", "warm_up"]

_HOME: Final = Path(__file__).resolve().parents[2]
_CODE: Final = "from migkit.models.warm import compile_once; compile_once()"
_SIMULATOR: Final = "; from migkit.models.warm import compile_simulator; compile_simulator()"


def warm_up() -> None:
    """Make predictions of this process compiled ones, without holding up those made meanwhile.

    Another process compiles into the cache on disk first, so that this one only loads what is
    there; until then its predictions are plain Python, equal to the last bit.

    Raises
    ------
    RunError
        The kernels cannot be compiled here, although numba is installed.
    """
    if not can_compile():
        return
    with _compiler(_CODE) as compiler:
        said = compiler.communicate()[1]
    if compiler.returncode:
        reason = said.strip().splitlines()[-1:] or ["no reason given"]
        raise RunError(f"kernels: cannot be compiled here ({reason[0]}); predictions stay right, but slow")
    compile_now()


@contextmanager
def compiling() -> Iterator[None]:
    """Compile into the cache on disk in another process, for as long as the context lasts at most.

    Predictions come first, then the page-level simulator, which takes longer.
    """
    with _compiler(_CODE + _SIMULATOR) as compiler:
        try:
            yield
        finally:
            compiler.terminate()


def _compiler(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        isolation.python(code),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def compile_once() -> None:
    """Compile the kernels; while another process of this user compiles them, wait, then load what it made."""
    from filelock import FileLock

    with FileLock(_lock_path("predictions")):
        compile_now()


def compile_simulator() -> None:
    """Compile the page-level simulator, or load it from the cache; wait while another process compiles it.

    Examples
    --------
    >>> from migkit import Guest, simulate
    >>> compile_simulator()
    >>> simulate(Guest(memory_bytes=2**24)).runs[0].verdict
    'converges'
    """
    from filelock import FileLock

    from migkit.models.simulate import simulate
    from migkit.scenario import Guest

    if can_compile():
        with FileLock(_lock_path("simulator")):
            simulate(Guest(memory_bytes=2**20))


def _lock_path(what: str) -> Path:
    """Return the file that stands for one cache of one user; the kernel takes its lock back with the process."""
    place = hashlib.sha256(f"{_HOME} {os.environ.get('NUMBA_CACHE_DIR', '')} {what}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"migkit-{os.getuid()}-{place}.lock"


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
    from migkit.jit import compile_kernels
    from migkit.models.predict import predict
    from migkit.scenario import DirtyClass, Guest, Scenario, Strategy

    compile_kernels()
    guest = Guest(memory_bytes=2**24, dirty=(DirtyClass(region_bytes=2**22, writes_per_s=100.0),))
    for name in ("precopy", "postcopy"):
        predict(Scenario(guest=guest, strategy=Strategy(name=name)), level=None)
