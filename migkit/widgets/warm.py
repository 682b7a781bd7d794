"""Compile in the background from the moment that an explorer is first shown."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable

from migkit.models import warm

__all__ = ["begin", "is_busy", "when_done"]


@functools.cache
def begin() -> threading.Thread:
    """Start compiling, once a process; an error goes to the log of the kernel."""
    thread = threading.Thread(target=warm.warm_up, name="migkit-warm-up", daemon=True)
    thread.start()
    return thread


def is_busy() -> bool:
    """Return whether kernels are being compiled now."""
    return begin.cache_info().currsize > 0 and begin().is_alive()


def when_done(callback: Callable[[], None]) -> None:
    """Call ``callback`` in this thread's event loop when the kernels are compiled."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        begin().join()
        loop.call_soon_threadsafe(callback)

    threading.Thread(target=wait, daemon=True).start()
