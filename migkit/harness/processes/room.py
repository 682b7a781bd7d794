"""How much memory a process may still take here."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

__all__ = ["available_bytes"]

_GROUPS: Final = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Return the least that machine, control groups and limits of this process leave [B].

    Examples
    --------
    >>> available_bytes() <= psutil.virtual_memory().available
    True
    """
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    own = [] if limit_bytes == resource.RLIM_INFINITY else [limit_bytes]
    return max(min([int(psutil.virtual_memory().available), *own, *_left_to_groups()]), 0)


def _left_to_groups() -> Iterator[int]:
    """Yield what each control group (version 2) that this process is in has left [B]."""
    with contextlib.suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("0::/")[2]
        for group in (_GROUPS / own, *(_GROUPS / own).parents):
            if group == _GROUPS.parent:
                return
            yield from _left_to(group)


def _left_to(group: Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):  # the root has no limit, nor has a group that says "max"
        most_bytes = int((group / "memory.max").read_text())
        yield most_bytes - int((group / "memory.current").read_text())
