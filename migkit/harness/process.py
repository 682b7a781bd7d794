"""Track the memory of any running program from outside, without its help.

The program is stopped for a moment to create a userfaultfd of its memory, which is taken over and
closed in the program at once; all else is done through that copy. So the program holds nothing of
ours, and when the copy is closed, or this process dies, the kernel undoes every registration.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final, Self

import numpy as np

from migkit.errors import CapabilityError, RunError, UsageError
from migkit.harness import _linux, ptrace
from migkit.harness.pagemap import Category, Mapping, Pagemap, mappings
from migkit.harness.userfaultfd import USER_MODE_ONLY, Feature, Mode, Userfaultfd
from migkit.units import PAGE_BYTES

__all__ = ["TrackedProcess"]

_FEATURES: Final = Feature.WP_ASYNC | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
_KERNELS_OWN: Final = ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]")


class TrackedProcess:
    """All writable memory of one process, under asynchronous write-protection.

    Mappings that the program makes later are found by ``arm``; until then, all that is present in
    them counts as written, which it was: they are younger than the window. Files that the program
    maps shared are left out, since their pages are not its memory.

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
    memory_bytes
        Writable memory at the last ``arm`` [B].
    left_out_bytes
        The part of it that the kernel would not track [B].
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.memory_bytes = self.left_out_bytes = 0
        self._tracked: set[tuple[int, int]] = set()
        try:
            self._uffd = Userfaultfd(_descriptor_of(pid), _FEATURES)
            self._pagemap = Pagemap(pid)
        except (ProcessLookupError, FileNotFoundError) as error:
            raise UsageError(f"process {pid}: there is none; give the id of a running program") from error
        except OSError as error:
            raise CapabilityError(f"process {pid}: cannot be tracked: {error}; see migkit doctor") from error

    def close(self) -> None:
        """Leave the program as it was; a second call does nothing."""
        self._uffd.close()
        self._pagemap.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def arm(self) -> None:
        """Begin a window: nothing counts as written."""
        now = self._memory()
        for mapping in now:
            if (mapping.start, mapping.end) not in self._tracked:
                self._register(mapping)
        self._tracked &= {(mapping.start, mapping.end) for mapping in now}
        self.memory_bytes = sum(mapping.length_bytes for mapping in now)
        self.left_out_bytes = self.memory_bytes - sum(end - start for start, end in self._tracked)
        for start, end in self._tracked:
            self._protect(start, end)

    def written_pages(self) -> int:
        """Return the distinct pages written since ``arm``, as far as they are still mapped; re-arms nothing."""
        return sum(self._written_in(mapping) for mapping in self._memory())

    def _memory(self) -> list[Mapping]:
        try:
            found = mappings(self.pid)
        except (ProcessLookupError, FileNotFoundError):
            found = []
        if not found:
            raise RunError(f"process {self.pid}: ended while it was tracked; track one that runs for longer")
        return [mapping for mapping in found if _is_memory(mapping)]

    def _register(self, mapping: Mapping) -> None:
        try:
            self._uffd.register(mapping.start, mapping.length_bytes, Mode.WRITE_PROTECT)
        except OSError:
            return  # counted in left_out_bytes
        self._tracked.add((mapping.start, mapping.end))

    def _protect(self, start: int, end: int) -> None:
        try:
            self._uffd.protect(start, end - start)
        except FileNotFoundError:
            self._tracked.discard((start, end))  # unmapped since the list of mappings was read

    def _written_in(self, mapping: Mapping) -> int:
        known = any(start < mapping.end and mapping.start < end for start, end in self._tracked)
        category = Category.WRITTEN if known else Category.WRITTEN | Category.PRESENT
        ranges = self._pagemap.ranges(mapping.start, mapping.end, category)
        return int(np.sum(ranges[:, 1] - ranges[:, 0])) // PAGE_BYTES
