"""Compile in the background from the moment that an explorer is first shown."""

from __future__ import annotations

import functools
import threading

from migkit.models import warm

__all__ = ["begin"]


@functools.cache
def begin() -> threading.Thread:
    """Start compiling, once a process; an error goes to the log of the kernel."""
    thread = threading.Thread(target=warm.warm_up, name="migkit-warm-up", daemon=True)
    thread.start()
    return thread
