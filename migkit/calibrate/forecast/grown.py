"""A log that grows, and may be emptied or moved away by what rotates logs, while a migration is watched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from migkit.errors import RunError, TraceError, UsageError

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Grown", "last_migration"]


class Grown:
    """A log that grows. What it held stays known where it becomes shorter or is away for a while.

    Examples
    --------
    >>> from migkit.traces import data
    >>> Grown(data.data_path("kvm_database/precopy-4t-1.json.gz")).log().meta["outcome"]
    'completed'
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before, self._now = b"", b""

    def log(self) -> Log:
        """Read the last migration in the log."""
        raw = self._read()
        if len(raw) < len(self._now):
            self._before += self._now
        self._now = raw
        return last_migration(self._before + raw, str(self._path))

    def _read(self) -> bytes:
        from migkit.importers.reading.text import load

        try:
            return load(self._path)
        except TraceError as error:  # it may be there again by now
            if not self._before + self._now or not isinstance(error.__cause__, FileNotFoundError):
                raise
            return b""


def last_migration(source: str | bytes, name: str) -> Log:
    """Return the last migration in a text.

    Raises
    ------
    UsageError
        There is none.
    RunError
        Its source says no more than that it is over.

    Examples
    --------
    >>> last_migration('{"status": "active", "total-time": 5500, "ram": {"remaining": 0}}', "answer").meta["outcome"]
    'under way'
    """
    from migkit.importers import read

    found = [log for log in read(source, name=name) if log.kind == "migration" and len(log.frame)]
    if not found:
        raise UsageError(f"{name}: holds no reading of a migration; log query-migrate or virsh domjobinfo")
    if found[-1].meta["outcome"] == "ended":
        raise RunError(f"{name}: its job is gone, so the migration is over; virsh domjobinfo --completed says how")
    return found[-1]
