"""A dirty profile: the curve ``U(t)`` that was measured on a running program, and how to use it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from migkit.errors import TraceError, UsageError
from migkit.scenario.dirty import DirtyClass
from migkit.units import PAGE_BYTES

__all__ = ["SCHEMA_VERSION", "DirtyProfile", "load"]

SCHEMA_VERSION = 1
_MOST = 2**63 - 1  # no size and no time is larger
_KEYS = ("windows_s", "unique_pages", "memory_bytes", "page_bytes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirtyProfile:
    """Distinct pages written within windows of several lengths, each counted from a clean start.

    Attributes
    ----------
    windows_s
        Lengths of the windows, ascending [s].
    unique_pages
        Distinct pages written within each [pages of ``page_bytes``].
    memory_bytes
        Writable memory of the program [B].
    page_bytes
        Page size of the measurement [B].

    Examples
    --------
    >>> DirtyProfile(windows_s=(0.1, 1.0), unique_pages=(50.0, 400.0), memory_bytes=2**24).guest_bytes
    16777216
    """

    windows_s: tuple[float, ...]
    unique_pages: tuple[float, ...]
    memory_bytes: int
    page_bytes: int = PAGE_BYTES

    def __post_init__(self) -> None:
        if self.page_bytes < PAGE_BYTES or self.page_bytes % PAGE_BYTES:
            raise TraceError(
                f"profile: page_bytes {self.page_bytes} is not a multiple of {PAGE_BYTES}; measure it again"
            )
        if not self.windows_s or len(self.windows_s) != len(self.unique_pages):
            raise TraceError(
                f"profile: {len(self.windows_s)} windows and {len(self.unique_pages)} counts; give as many of both"
            )
        if not all(a < b for a, b in zip((0.0, *self.windows_s), self.windows_s, strict=False)):
            raise TraceError("profile: windows_s is not ascending from above 0 s; measure it again")
        most = self.memory_bytes / self.page_bytes
        if not all(0 <= n <= most for n in self.unique_pages):
            raise TraceError(f"profile: unique_pages is outside 0 to {most:g} pages, the memory; measure it again")

    @property
    def guest_bytes(self) -> int:
        """Memory of a guest that holds this program, in whole 4 KiB pages [B]."""
        return -(-self.memory_bytes // PAGE_BYTES) * PAGE_BYTES

    def classes(self) -> list[DirtyClass]:
        """Return page classes whose curve is this one, as :func:`migkit.scenario.curves.measured` fits them."""
        from migkit.scenario import curves

        scale = self.page_bytes // PAGE_BYTES
        counts = [n * scale for n in self.unique_pages]
        return list(curves.measured(self.windows_s, counts, self.guest_bytes))


def load(path: Path | str) -> DirtyProfile:
    """Read a dirty profile that ``migkit dirty`` wrote.

    Raises
    ------
    TraceError
        The file cannot be read, or is no dirty profile.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(f"profile {path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(f"profile {path}: not a JSON file; write it with migkit dirty") from error
    try:
        return _from_record(record)
    except UsageError as error:
        raise TraceError(str(error).replace("profile:", f"profile {path}:", 1)) from error


def _from_record(record: Any) -> DirtyProfile:
    if not isinstance(record, dict):
        raise TraceError("profile: not a table; write it with migkit dirty")
    if record.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise TraceError(
            f"profile: has schema version {record['schema_version']!r}, this migkit reads {SCHEMA_VERSION}; "
            "measure it again with migkit dirty"
        )
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise TraceError(f"profile: {missing[0]} is missing; write it with migkit dirty")
    return DirtyProfile(
        windows_s=_numbers(record, "windows_s"),
        unique_pages=_numbers(record, "unique_pages"),
        memory_bytes=_whole(record, "memory_bytes"),
        page_bytes=_whole(record, "page_bytes"),
    )


def _numbers(record: dict[str, Any], key: str) -> tuple[float, ...]:
    values = record[key]
    if not isinstance(values, list) or not all(type(v) in (int, float) and abs(v) <= _MOST for v in values):
        raise TraceError(f"profile: {key} is not a list of numbers; write it with migkit dirty")
    return tuple(map(float, values))


def _whole(record: dict[str, Any], key: str) -> int:
    value = record[key]
    if type(value) is not int or value <= 0:
        raise TraceError(f"profile: {key} {value!r} is not a whole number above 0; write it with migkit dirty")
    if value > _MOST:
        raise TraceError(f"profile: {key} is above {_MOST} B; measure it again with migkit dirty")
    return value
