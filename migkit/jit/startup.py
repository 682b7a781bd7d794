"""numba made ready to compile, in whichever thread."""

from __future__ import annotations

__all__ = ["make_ready"]


def make_ready() -> None:
    """Load numba and what it compiles for, whatever other threads do to Python's builtins meanwhile.

    numba goes through all builtins once. IPython adds some when a cell begins and removes them when it ends, and a
    notebook makes numba ready in a thread of its own. Where that happens meanwhile, numba begins again.
    """
    from numba.core.registry import cpu_target

    while True:
        try:
            _ = cpu_target.target_context
        except RuntimeError as error:
            if "changed size during iteration" not in str(error):
                raise
        else:
            return
