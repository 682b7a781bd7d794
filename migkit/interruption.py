"""Signals that ask a run to end: heeded once, and never while it is found out where the guest is."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["heed_no_more", "heed_once", "undisturbed"]

_KINDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)  # the last is our own
_AGAIN_S: Final = 0.01


def heed_once() -> None:
    """Have the first of Ctrl-C, SIGTERM and SIGHUP raise ``KeyboardInterrupt``, and all later ones do nothing.

    So whatever the first one makes this process do is done in full. A signal that was ignored when the
    process started, as ``nohup`` has it, stays ignored. Where Python drops exceptions, as in the finalizers that an
    import runs, one would be lost: it is raised anew a moment later.
    """
    for kind in _KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, _interrupt)
    sys.unraisablehook = _raise_anew


def _raise_anew(dropped: sys.UnraisableHookArgs) -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
    elif signal.getsignal(signal.SIGALRM) is _note:
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for kind in _KINDS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, _note)
    raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: this process is ending already."""


def heed_no_more() -> None:
    """Have such signals ignored by the kernel: Python's own end would otherwise give them back their effect.

    That end is a death by SIGINT, whatever the exit code, once ``exec`` was interrupted, as it runs where a dataclass
    is made; another ``exec`` has this forgotten (CPython Python/pythonrun.c, ``unhandled_keyboard_interrupt``).
    """
    for kind in _KINDS:
        signal.signal(kind, signal.SIG_IGN)
    exec("")


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
