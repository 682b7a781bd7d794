"""A dirty profile: the curve ``U(t)`` that was measured on a running program, and how to use it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from migkit import files
from migkit.errors import TraceError, UsageError, shown
from migkit.scenario.dirty import LONGEST_WINDOW_S, SHORTEST_WINDOW_S, DirtyClass
from migkit.units import MIB, PAGE_BYTES

__all__ = ["SCHEMA_VERSION", "DirtyProfile", "load"]

SCHEMA_VERSION = 1
_MOST = 2**63 - 1  # no size and no time is larger
_MOST_FILE_BYTES = 16 * MIB
_MOST_WINDOWS = 10_000
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
        if self.windows_s[0] < SHORTEST_WINDOW_S or self.windows_s[-1] > LONGEST_WINDOW_S:
            raise TraceError(
                f"profile: windows_s {self.windows_s[0]:g} to {self.windows_s[-1]:g} s is outside "
                f"{SHORTEST_WINDOW_S:g} to {LONGEST_WINDOW_S:g} s; measure it again"
            )
        most = self.memory_bytes / self.page_bytes
        if not all(0 <= n <= most for n in self.unique_pages):
            raise TraceError(f"profile: unique_pages is outside 0 to {most:g} pages, the memory; measure it again")
        for fewer, more, window_s in zip(self.unique_pages, self.unique_pages[1:], self.windows_s[1:], strict=False):
            if more < fewer:
                raise TraceError(
                    f"profile: unique_pages falls from {fewer:g} to {more:g} at {window_s:g} s, though a longer "
                    "window sees what a shorter one does; measure it again"
                )

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
        record = files.parse_json(files.read(path, _MOST_FILE_BYTES))
    except OSError as error:
        raise TraceError(f"profile {path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
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
            f"profile: has schema version {shown(record['schema_version'])}, this migkit reads {SCHEMA_VERSION}; "
            "measure it again with migkit dirty"
        )
    unknown = files.unknown_keys(record, (*_KEYS, "schema_version", *_TOLD))
    if unknown:
        raise TraceError(f"profile: {shown(unknown)} is no key of one; write it with migkit dirty")
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise TraceError(f"profile: {missing[0]} is missing; write it with migkit dirty")
    for key, (is_such, what) in _TOLD.items():
        if key in record and not is_such(record[key]):
            raise TraceError(f"profile: {key} {shown(record[key])} is not {what}; write it with migkit dirty")
    return DirtyProfile(
        windows_s=_numbers(record, "windows_s"),
        unique_pages=_numbers(record, "unique_pages"),
        memory_bytes=_whole(record, "memory_bytes"),
        page_bytes=_whole(record, "page_bytes"),
    )


def _numbers(record: dict[str, Any], key: str) -> tuple[float, ...]:
    values = record[key]
    if not _is_numbers(values) or len(values) > _MOST_WINDOWS:
        raise TraceError(f"profile: {key} is not a list of numbers; write it with migkit dirty")
    return tuple(map(float, values))


def _whole(record: dict[str, Any], key: str) -> int:
    value = record[key]
    if type(value) is not int or value <= 0:
        raise TraceError(f"profile: {key} {shown(value)} is not a whole number above 0; write it with migkit dirty")
    if value > _MOST:
        raise TraceError(f"profile: {key} is above {_MOST} B; measure it again with migkit dirty")
    return value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _MOST


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_cost(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and (_is_number(each) or _is_text(each)) for name, each in value.items()
    )


def _is_repeats(value: Any) -> bool:
    rows = value.values() if isinstance(value, dict) else [None]
    return all(isinstance(row, list) and all(map(_is_numbers, row)) for row in rows)


# What a profile says of its measurement, and whether it does; nothing here follows from it.
_TOLD = {
    "migkit_version": (_is_text, "a printable line"),
    "kind": (lambda value: value == "dirty profile", "'dirty profile'"),
    "program": (_is_text, "a printable line"),
    "tracker": (_is_text, "a printable line"),
    "pinned_bytes": (_is_number, "a number"),
    "cost": (_is_cost, "a table of numbers and printable lines"),
    "repeats": (_is_repeats, "a table of lists of lists of numbers"),
}
