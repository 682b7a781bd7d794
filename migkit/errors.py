"""One family of errors; each knows the exit code that a command ends with.

A message is one line and says, in this order: what is wrong, the value and its
unit, what is allowed, and what to do.
"""

from __future__ import annotations

__all__ = [
    "CapabilityError",
    "InfeasibleError",
    "MigkitError",
    "RunError",
    "TraceError",
    "UsageError",
]


class MigkitError(Exception):
    """Base of everything that migkit raises on purpose.

    Parameters
    ----------
    message
        The line; what would break it, such as a line feed quoted from bad input, is written as an escape.

    Attributes
    ----------
    exit_code
        What the command line exits with: 1 the run failed, 2 wrong usage or
        input, 3 valid but infeasible, 4 a privilege or a kernel feature is
        missing, 130 interrupted.
    """

    exit_code: int = 1

    def __init__(self, message: object = "") -> None:
        text = str(message)
        super().__init__(
            text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        )


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
