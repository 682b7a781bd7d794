"""One family of errors; each knows the exit code that a command ends with.

A message is one line and says, in this order: what is wrong, the value and its
unit, what is allowed, and what to do.
"""

from __future__ import annotations

import reprlib
from typing import Any, Final

__all__ = [
    "CapabilityError",
    "InfeasibleError",
    "MigkitError",
    "RunError",
    "TraceError",
    "UsageError",
    "counted",
    "printable",
    "shown",
]


def printable(text: str) -> str:
    """Return foreign text as one line that a terminal only shows: what is not printable is written as an escape.

    Names of files, command lines of programs and content of files may hold line feeds and a terminal's control
    sequences, which would move its cursor, change its title or hide what follows.

    Examples
    --------
    >>> print(printable("redis-server\\x1b[2J\\n*:6379"))
    redis-server\\x1b[2J\\n*:6379
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def counted(number: int, what: str) -> str:
    """Return how many there are of something, in words.

    Examples
    --------
    >>> counted(1, "host"), counted(2, "host")
    ('1 host', '2 hosts')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class _Short(reprlib.Repr):
    """``repr`` for one line of a message, however long, deep or large the value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = 80
        self.maxlevel = 3

    def repr_int(self, value: int, level: int) -> str:
        """Return a whole number, or how long it is: Python refuses to write one of more than 4,300 digits."""
        if value.bit_length() > 256:
            return f"a number of about {value.bit_length() * 30103 // 100000 + 1} digits"
        return repr(value)


_SHORT: Final = _Short()


def shown(value: Any) -> str:
    """Return a foreign value as a message quotes it: as ``repr`` does, but short.

    Examples
    --------
    >>> shown("4 MB"), shown([1, 2.5]), shown(10**5000)
    ("'4 MB'", '[1, 2.5]', 'a number of about 5001 digits')
    >>> len(shown("x" * 10**6))
    80
    """
    return _SHORT.repr(value)


class MigkitError(Exception):
    """Base of everything that migkit raises on purpose.

    Parameters
    ----------
    message
        The line, :func:`printable`.

    Attributes
    ----------
    exit_code
        What the command line exits with: 1 the run failed, 2 wrong usage or
        input, 3 valid but infeasible, 4 a privilege or a kernel feature is
        missing, 130 interrupted.
    """

    exit_code: int = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


class UsageError(MigkitError, ValueError):
    """The input is wrong: a unit, a range, a type, a contradiction."""

    exit_code = 2


class TraceError(UsageError):
    """A trace, checkpoint or profile cannot be read, or is not what it says."""


class InfeasibleError(MigkitError):
    """The question is valid and the answer is no."""

    exit_code = 3


class CapabilityError(MigkitError):
    """A privilege or a kernel feature that is needed is missing here."""

    exit_code = 4


class RunError(MigkitError):
    """A real run failed, or could not be verified."""
