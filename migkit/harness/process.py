"""Track the memory of any running program from outside, without its help.

With soft-dirty bits nothing of the program is touched. Otherwise it is stopped for a moment to
create a userfaultfd of its memory, which is taken over and closed in the program at once; all else
is done through that copy. So the program holds nothing of ours, and when the copy is closed, or
this process dies, the kernel undoes every registration.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from migkit.errors import CapabilityError, MigkitError, RunError, UsageError
from migkit.harness import _linux, probe, ptrace
from migkit.harness.pagemap import Category, Mapping, Pagemap, mappings, scan_of
from migkit.harness.userfaultfd import USER_MODE_ONLY, Feature, Mode, Userfaultfd
from migkit.units import PAGE_BYTES

__all__ = ["MEANS", "SoftDirtyProcess", "TrackedProcess", "WriteProtectedProcess", "track"]

MEANS: Final = ("soft-dirty", "uffd-async")
_FEATURES: Final = Feature.WP_ASYNC | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
_POPULATED: Final = Category.PRESENT | Category.SWAPPED
_SHARED_MEMORY: Final = ("/memfd:", "/dev/shm/", "/dev/zero", "/SYSV")


class TrackedProcess:
    """The writable memory of one process: private mappings and shared memory, not files that it maps shared.

    Attributes
    ----------
    means
        How it is tracked, one of :data:`MEANS`.
    """

    means: str

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._pagemap = Pagemap(pid)
        except (ProcessLookupError, FileNotFoundError) as error:
            raise UsageError(f"process {pid}: there is none; give the id of a running program") from error
        except PermissionError as error:
            raise CapabilityError(
                f"process {pid}: its page map may not be read; run as its user or as root"
            ) from error

    def close(self) -> None:
        """Leave the program as it was; a second call does nothing."""
        self._pagemap.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def arm(self) -> None:
        """Begin a window: nothing counts as written."""
        raise NotImplementedError

    def written_pages(self) -> int:
        """Return the distinct pages written since ``arm``, as far as they are still mapped; re-arms nothing.

        In mappings that are younger than the window every page that was filled counts.
        """
        return sum(self._written_in(mapping) for mapping in self.memory())

    def populated_pages(self) -> int:
        """Return the pages of writable memory that hold something."""
        return sum(self._count(mapping, Category(0)) for mapping in self.memory())

    def memory(self) -> list[Mapping]:
        """Return the mappings of its writable memory.

        Raises
        ------
        RunError
            The process has ended.
        """
        try:
            found = mappings(self.pid)
        except (ProcessLookupError, FileNotFoundError):
            found = []
        if not found:
            raise RunError(f"process {self.pid}: ended while it was tracked; track a program that runs for longer")
        return [mapping for mapping in found if _is_memory(mapping)]

    def _written_in(self, mapping: Mapping) -> int:
        return self._count(mapping, Category.WRITTEN)

    def _count(self, mapping: Mapping, category: Category) -> int:
        """Count pages; of a private mapping, not those that are still the file's or the kernel's page of zeros."""
        private = "p" in mapping.permissions
        foreign = Category.PFNZERO | Category.FILE if private else Category.PFNZERO
        ranges = self._pagemap.ranges(
            scan_of(mapping.start, mapping.end, category, any_of=_POPULATED, none_of=foreign)
        )
        return int((ranges[:, 1] - ranges[:, 0]).sum()) // PAGE_BYTES


class WriteProtectedProcess(TrackedProcess):
    """A process under asynchronous write-protection.

    Parameters
    ----------
    pid
        The process; its threads share its memory.

    Raises
    ------
    UsageError
        There is no such process.
    CapabilityError
        No right to trace it, or the kernel lacks the means; nothing was changed in it.

    Attributes
    ----------
    left_out_bytes
        Writable memory that the kernel would not track, at the last ``arm`` [B].
    """

    means = "uffd-async"

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.left_out_bytes = 0
        self._tracked: set[tuple[int, int]] = set()
        try:
            self._uffd = Userfaultfd(_descriptor_of(pid), _FEATURES)
        except (OSError, MigkitError) as error:
            self._pagemap.close()
            if isinstance(error, MigkitError):
                raise
            raise CapabilityError(f"process {pid}: cannot be tracked ({error}); see migkit doctor") from error

    def close(self) -> None:
        """Undo every registration and protection; a second call does nothing."""
        self._uffd.close()
        super().close()

    def arm(self) -> None:
        """Register what is new and protect everything."""
        now = self.memory()
        self._tracked &= {(mapping.start, mapping.end) for mapping in now}
        for mapping in now:
            if (mapping.start, mapping.end) in self._tracked or self._registered(mapping):
                self._tracked.add((mapping.start, mapping.end))
        self.left_out_bytes = sum(mapping.length_bytes for mapping in now) - sum(e - s for s, e in self._tracked)
        for start, end in sorted(self._tracked):
            self._protect(start, end)

    def _registered(self, mapping: Mapping) -> bool:
        try:
            self._uffd.register(mapping.start, mapping.length_bytes, Mode.WRITE_PROTECT)
        except OSError:
            return False  # its size is told in left_out_bytes
        return True

    def _protect(self, start: int, end: int) -> None:
        try:
            self._uffd.protect(start, end - start)
        except FileNotFoundError:
            self._tracked.discard((start, end))  # unmapped or changed since the mappings were listed


class SoftDirtyProcess(TrackedProcess):
    """A process whose soft-dirty bits are cleared and read; needs CONFIG_MEM_SOFT_DIRTY."""

    means = "soft-dirty"

    def arm(self) -> None:
        """Clear the bits of the whole process."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("4")

    def _written_in(self, mapping: Mapping) -> int:
        return int(self._pagemap.soft_dirty(mapping.start, mapping.length_bytes).sum())


def track(pid: int, means: str | None = None) -> TrackedProcess:
    """Return a tracker of all writable memory of process ``pid``.

    Parameters
    ----------
    pid
        A running program.
    means
        One of :data:`MEANS`; None: soft-dirty bits where the kernel has them, else write-protection.

    Raises
    ------
    UsageError
        There is no such process, or it is this one, or no such means.
    CapabilityError
        No right to trace it, or the kernel lacks the means.
    """
    if pid == os.getpid():
        raise UsageError(f"process {pid}: is migkit itself; give the id of another program")
    means = means or ("soft-dirty" if probe.probe("soft-dirty").available else "uffd-async")
    if means not in MEANS:
        raise UsageError(f"tracker: {means!r} is not known; use one of {', '.join(MEANS)}")
    if means == "uffd-async":
        return WriteProtectedProcess(pid)
    found = probe.probe("soft-dirty")
    if not found.available:
        raise CapabilityError(f"tracker soft-dirty: {found.reason}; {found.remedy}")
    return SoftDirtyProcess(pid)


def _is_memory(mapping: Mapping) -> bool:
    if not mapping.writable or mapping.path.startswith("[v"):
        return False
    return "p" in mapping.permissions or mapping.path.startswith(_SHARED_MEMORY)


def _descriptor_of(pid: int) -> int:
    """Return a userfaultfd of another process's memory; it keeps no copy."""
    with ptrace.frozen(pid) as threads:
        if not threads:
            raise UsageError(f"process {pid}: has ended; give the id of a running program")
        flags = os.O_CLOEXEC | os.O_NONBLOCK | USER_MODE_ONLY
        remote = ptrace.call_in(pid, threads[0], "userfaultfd", flags)
        try:
            return _linux.take_descriptor(pid, remote)
        finally:
            ptrace.call_in(pid, threads[0], "close", remote)
