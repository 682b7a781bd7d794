"""Compile in the background from the moment that an explorer is first shown."""

from __future__ import annotations

import functools
import threading

from migkit.jit import can_compile
from migkit.models import warm

__all__ = ["begin"]


@functools.cache
def begin() -> threading.Thread | None:
    """Start compiling, once a process; an error goes to the log of the kernel. None: nothing compiles here."""
    if not can_compile():
        return None  # in a browser there are no threads either
    thread = threading.Thread(target=warm.warm_up, name="migkit-warm-up", daemon=True)
    thread.start()
    return thread
