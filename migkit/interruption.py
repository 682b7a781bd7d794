"""Signals that ask a run to end: heeded once, and never while it is found out where the guest is."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["heed_no_more", "heed_once", "undisturbed"]

_KINDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heed_once() -> None:
    """Have the first of Ctrl-C, SIGTERM and SIGHUP raise ``KeyboardInterrupt``, and all later ones do nothing.

    So whatever the first one makes this process do is done in full. A signal that was ignored when the
    process started, as ``nohup`` has it, stays ignored.
    """
    for kind in _KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for kind in _KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, _note)
    raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: this process is ending already."""


def heed_no_more() -> None:
    """Have such signals ignored by the kernel: Python's own end would otherwise give them back their effect."""
    for kind in _KINDS:
        signal.signal(kind, signal.SIG_IGN)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block do nothing about such signals; in a thread that does not get them, change nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.getsignal(kind) for kind in _KINDS}
    for kind, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(kind, _note)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler if handler is not None else signal.SIG_DFL)
