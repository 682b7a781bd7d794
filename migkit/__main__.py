"""``migkit`` and ``python -m migkit``: the first lines that run, before anything takes time to be imported."""

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run a command; whoever interrupts its imports reads one line as well."""
    _hold_standard_streams()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: _leave())
    from migkit.cli import main as run

    run()


def _hold_standard_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed on nothing, so that no other file takes their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free is this one
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w"))


def _leave() -> None:
    os.write(2, b"migkit: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    from migkit.isolation import leave_working_folder

    leave_working_folder()

    main()
