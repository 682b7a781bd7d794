"""When a compiled kernel in numba's cache is stale.

Numba compares the file that a function stands in. But kernels of other modules are compiled into it: after a change
of one of these the old code would go on. So the sources of all kernels count.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["digest", "watch"]

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_WITH_KERNELS: Final = ("engine", "harness", "jit", "planning", "policies", "simulator")


def watch(dispatcher: Any) -> None:
    """Have what numba keeps of a compiled function go stale with the source of any kernel.

    Parameters
    ----------
    dispatcher
        As ``numba.njit(cache=True)`` returns it; a plain function where numba is told not to compile.
    """
    kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, digest())


@cache
def digest() -> str:
    """Return a digest of the sources of all kernels.

    Examples
    --------
    >>> len(digest())
    16
    """
    whole = hashlib.sha256()
    for name in _WITH_KERNELS:
        for path in sorted((_PACKAGE / name).rglob("*.py")):
            whole.update(path.read_bytes())
    return whole.hexdigest()[:16]
