"""Compile in the background from the moment that an explorer is first shown; say so where somebody has to wait."""

from __future__ import annotations

import functools
import threading
from typing import Any, Final

from IPython import display, get_ipython

from migkit.jit import can_compile
from migkit.models import warm

__all__ = ["begin", "compile_simulator"]

_SAID: Final = (
    "Loading the page-level simulator. "
    "The first time on a machine it is compiled, which takes half a minute or longer ..."
)
# What was said goes again, with the room that it took.
_UNSAID: Final = (
    '<style class="migkit-unsaid">'
    ".jp-OutputArea-child:has(> .jp-OutputArea-output > style.migkit-unsaid) { display: none }</style>"
)


@functools.cache
def begin() -> threading.Thread | None:
    """Start compiling, once a process; an error goes to the log of the kernel. None: nothing compiles here."""
    if not can_compile():
        return None  # in a browser there are no threads either
    thread = threading.Thread(target=warm.warm_up, name="migkit-warm-up", daemon=True)
    thread.start()
    return thread


@functools.cache
def compile_simulator() -> None:
    """Compile the page-level simulator, or load it, once a process; in a notebook, the cell says so meanwhile."""
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None or not can_compile():
        warm.compile_simulator()
        return
    show: Any = display.display
    said = show({"text/html": f"<i>{_SAID}</i>", "text/plain": _SAID}, raw=True, display_id=True)
    try:
        warm.compile_simulator()
    finally:
        said.update({"text/html": _UNSAID, "text/plain": ""}, raw=True)
