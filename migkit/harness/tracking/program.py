"""Track the memory of any running program from outside, without its help.

With soft-dirty bits nothing of the program is touched. Otherwise a keeper visits it once and brings
a userfaultfd of its memory out (see :mod:`migkit.harness.watching.attach`); all else is done through that.
So the program holds nothing of ours, and when the last copy is closed the kernel undoes every
registration. Only pages that are there are protected, piece by piece: a page that comes later
carries no protection and counts as written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError, RunError, UsageError
from migkit.harness import probe
from migkit.harness.linux import calls, scanning
from migkit.harness.linux.pagemap import Category, Mapping, Pagemap, mappings, scan_of
from migkit.harness.linux.userfaultfd import Feature, Mode, Userfaultfd
from migkit.harness.watching import watchable
from migkit.harness.watching.kept import Kept
from migkit.units import GIB, PAGE_BYTES

__all__ = ["MEANS", "SoftDirtyProcess", "TrackedProcess", "WriteProtectedProcess", "track"]

MEANS: Final = ("soft-dirty", "uffd-async")
_FEATURES: Final = Feature.WP_ASYNC | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
_POPULATED: Final = Category.PRESENT | Category.SWAPPED
_HANDLES: Final = "handles its own memory with a userfaultfd, which tracking would break"
_SHARED_WHOLE_BYTES: Final = 32 * GIB
"""Shared memory of which holes are protected as well; its page tables take a 512th of it."""


class TrackedProcess:
    """The writable memory of one process: private mappings and shared memory, not files that it maps shared.

    Attributes
    ----------
    means
        How it is tracked, one of :data:`MEANS`.
    cost
        What tracking took so far, by name and unit; all of it after ``close``.
    pinned_bytes
        Memory that devices or rings of the program may write to unseen, at the last ``arm`` [B].
    """

    means: str
    pinned_bytes = 0
    counts: Callable[[Mapping], bool] = staticmethod(lambda mapping: True)
    """Which of its mappings count; all of them, unless somebody says otherwise before ``arm``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid = watchable.reachable(pid)
        self.cost: dict[str, Any] = {}
        self._image = watchable.image_of(pid)
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

    def rest(self, seconds: float) -> None:
        """Let the program run for a time [s].

        Raises
        ------
        RunError
            Tracking has ended.
        """
        time.sleep(max(0.0, seconds))

    def written_pages(self) -> int:
        """Return the distinct pages written since ``arm``, as far as they are still mapped; re-arms nothing.

        In mappings that are younger than the window every page that was filled counts.

        Raises
        ------
        RunError
            The program has ended, or has become another.
        """
        return self._summed(self._written_in)

    def collect(self) -> Iterator[tuple[Mapping, npt.NDArray[np.int64]]]:
        """Yield each mapping with what was written in it since ``arm`` or the last ``collect``: ranges, (n, 2).

        A page's next window begins as it is collected. Under write-protection no write is lost between two windows;
        with soft-dirty bits those between reading and clearing are.

        Raises
        ------
        RunError
            The program has ended, or has become another.
        """
        raise NotImplementedError

    def held(self) -> Iterator[tuple[Mapping, npt.NDArray[np.int64]]]:
        """Yield each mapping with the address ranges of its pages that are in memory, (n, 2)."""
        for mapping in self.memory():
            here = (mapping.start, mapping.end)
            there = scan_of(*here, Category(0), any_of=Category.PRESENT, none_of=Category.PFNZERO)
            with self._of_same_program():
                ranges = self._pagemap.ranges(there).copy()
            yield mapping, ranges

    def populated_pages(self) -> int:
        """Return the pages of writable memory that hold something."""
        return self._summed(self._populated_in)

    def memory(self) -> list[Mapping]:
        """Return the mappings of its writable memory.

        Raises
        ------
        RunError
            The program has ended, or has become another.
        """
        self._same_program()
        try:
            found = mappings(self.pid)
        except (ProcessLookupError, FileNotFoundError):
            found = []
        self._same_program()
        return [mapping for mapping in found if watchable.is_memory(mapping) and self.counts(mapping)]

    def _same_program(self) -> None:
        now = watchable.image_of(self.pid)
        if not now:
            raise RunError(f"process {self.pid}: ended while it was tracked, too early to tell what it writes")
        if now != self._image:
            raise RunError(
                f"process {self.pid}: executed another program while it was tracked; measure that one anew"
            )

    @contextlib.contextmanager
    def _of_same_program(self) -> Iterator[None]:
        """Say what became of a program whose page map leads nowhere: it ended, or it executed another."""
        try:
            yield
        except ProcessLookupError as error:
            self._same_program()
            raise RunError(f"process {self.pid}: gave up its memory while it was tracked; measure it anew") from error

    def _summed(self, counted: Callable[[Mapping], int]) -> int:
        with calls.hurried(), self._of_same_program():
            total = sum(counted(mapping) for mapping in self.memory())
        self._same_program()
        return total

    def _written_in(self, mapping: Mapping) -> int:
        return self._count(mapping, Category.WRITTEN, _POPULATED)

    def _populated_in(self, mapping: Mapping) -> int:
        """Count pages; of shared memory not those that are swapped out, which look as protected holes do."""
        return self._count(mapping, Category(0), _POPULATED if _is_private(mapping) else Category.PRESENT)

    def _count(self, mapping: Mapping, category: Category, any_of: Category) -> int:
        """Count pages; of a private mapping, not those that are still the file's or the kernel's page of zeros."""
        found = self._found(mapping, category, any_of)
        return sum(int((ranges[:, 1] - ranges[:, 0]).sum()) for ranges in found) // PAGE_BYTES

    def _found(
        self, mapping: Mapping, category: Category, any_of: Category, protect: bool = False
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Yield, piece by piece, the ranges of such pages, each valid until the next one."""
        foreign = Category.PFNZERO | Category.FILE if _is_private(mapping) else Category.PFNZERO
        for start, end in scanning.populated(self._pagemap.fileno(), mapping.start, mapping.end):
            scan = scan_of(start, end, category, any_of=any_of, none_of=foreign, protect=protect)
            with calls.foremost():
                ranges = self._pagemap.ranges(scan)
            yield ranges


class WriteProtectedProcess(TrackedProcess):
    """A process under asynchronous write-protection.

    Parameters
    ----------
    pid
        The process; its threads share its memory.
    keeper
        Who brings the userfaultfd out, ended with this; None: one of its own.

    Raises
    ------
    UsageError
        There is no such process.
    CapabilityError
        It cannot be tracked unharmed, or the kernel lacks the means; it goes on as before.

    Attributes
    ----------
    left_out_bytes
        Writable memory that the kernel would not track, at the last ``arm`` [B].
    """

    means = "uffd-async"

    def __init__(self, pid: int, keeper: Kept | None = None) -> None:
        super().__init__(pid)
        self.left_out_bytes = 0
        self._tracked: set[tuple[int, int]] = set()
        self._keeper = keeper or Kept()
        try:
            descriptor, self.cost = self._keeper.watch(self.pid)
            self._uffd = self._handshake(descriptor)
        except BaseException:
            self._keeper.close()
            self._pagemap.close()
            raise

    def _handshake(self, descriptor: int) -> Userfaultfd:
        try:
            return Userfaultfd(descriptor, _FEATURES)
        except OSError as error:
            os.close(descriptor)
            raise CapabilityError(
                f"process {self.pid}: cannot be tracked ({error.strerror}); see migkit doctor"
            ) from error

    def close(self) -> None:
        """Undo every registration and protection; a second call does nothing."""
        if self._uffd.fileno() >= 0:
            try:
                self.cost |= self._keeper.finish()
            except RunError:
                self.cost |= {"undone_by": "the kernel"}
            finally:
                self._uffd.close()
                self._keeper.close()
        super().close()

    def rest(self, seconds: float) -> None:
        """Let the program run for a time [s]; ends at once when the keeper has something to say."""
        self._checked(max(0.0, seconds))

    def memory(self) -> list[Mapping]:
        """Return the mappings of its writable memory, if it is still tracked."""
        self._checked(0.0)
        return super().memory()

    def _checked(self, timeout_s: float) -> None:
        try:
            self._keeper.check(timeout_s)
        except RunError as error:
            raise RunError(f"process {self.pid}: {error}") from None

    def arm(self) -> None:
        """Register what is new and protect every page that is there."""
        began_s = time.perf_counter()
        now = self.memory()
        self._tracked &= {(mapping.start, mapping.end) for mapping in now}
        for mapping in now:
            if (mapping.start, mapping.end) in self._tracked or self._registered(mapping):
                self._tracked.add((mapping.start, mapping.end))
        tracked = [mapping for mapping in now if (mapping.start, mapping.end) in self._tracked]
        self.left_out_bytes = sum(m.length_bytes for m in now) - sum(m.length_bytes for m in tracked)
        self.pinned_bytes = int(watchable.status(self.pid).get("VmPin", "0 kB").split()[0]) * 1024
        shared_bytes = sum(m.length_bytes for m in tracked if not _is_private(m))
        with calls.hurried(), self._of_same_program():
            for mapping in tracked:
                self._protect(mapping, whole=not _is_private(mapping) and shared_bytes <= _SHARED_WHOLE_BYTES)
        self.cost["arming_s"] = max(self.cost.get("arming_s", 0.0), time.perf_counter() - began_s)

    def collect(self) -> Iterator[tuple[Mapping, npt.NDArray[np.int64]]]:
        """Yield what was written in each mapping that ``arm`` registered, and protect it in the same step."""
        for mapping in self.memory():
            if (mapping.start, mapping.end) not in self._tracked:
                continue
            try:
                with calls.hurried(), self._of_same_program():
                    written = _joined(self._found(mapping, Category.WRITTEN, _POPULATED, protect=True))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EPERM):
                    raise
                self._tracked.discard((mapping.start, mapping.end))  # unmapped or changed since it was listed
                continue
            yield mapping, written

    def _registered(self, mapping: Mapping) -> bool:
        try:
            self._uffd.register(mapping.start, mapping.length_bytes, Mode.WRITE_PROTECT)
        except OSError as error:
            if error.errno == errno.EBUSY:
                is_own = watchable.own_userfaultfd(self.pid)
                why = _HANDLES if is_own else "is being tracked by another program; end that and try again"
                raise CapabilityError(f"process {self.pid}: {why}") from error
            return False  # its size is told in left_out_bytes
        return True

    def _protect(self, mapping: Mapping, *, whole: bool) -> None:
        try:
            for start, end in self._pieces(mapping, whole):
                with calls.foremost():
                    if whole:
                        self._uffd.protect(start, end - start)
                    else:
                        self._pagemap.ranges(scan_of(start, end, Category.WRITTEN, any_of=_POPULATED, protect=True))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EPERM):
                raise
            self._tracked.discard((mapping.start, mapping.end))  # unmapped or changed since the mappings were listed

    def _pieces(self, mapping: Mapping, whole: bool) -> Iterator[tuple[int, int]]:
        if not whole:
            return scanning.populated(self._pagemap.fileno(), mapping.start, mapping.end)
        step = scanning.PIECE_BYTES
        return ((at, min(at + step, mapping.end)) for at in range(mapping.start, mapping.end, step))


class SoftDirtyProcess(TrackedProcess):
    """A process whose soft-dirty bits are cleared and read; needs CONFIG_MEM_SOFT_DIRTY."""

    means = "soft-dirty"

    def arm(self) -> None:
        """Clear the bits of the whole process."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("4")

    def collect(self) -> Iterator[tuple[Mapping, npt.NDArray[np.int64]]]:
        """Yield what was written in each mapping, then clear the bits; writes between the two are lost."""
        found = [
            (mapping, self._pagemap.soft_dirty(mapping.start, mapping.length_bytes)) for mapping in self.memory()
        ]
        self.arm()
        for mapping, marked in found:
            edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
            yield mapping, mapping.start + PAGE_BYTES * edges.reshape(-1, 2)

    def _written_in(self, mapping: Mapping) -> int:
        return int(self._pagemap.soft_dirty(mapping.start, mapping.length_bytes).sum())


def track(pid: int, means: str | None = None, keeper: Kept | None = None) -> TrackedProcess:
    """Return a tracker of all writable memory of process ``pid``.

    Parameters
    ----------
    pid
        A running program.
    means
        One of :data:`MEANS`; None: soft-dirty bits where the kernel has them, else write-protection.
    keeper
        The keeper that started it, ended with the tracker; None: it was not started by one.

    Raises
    ------
    UsageError
        There is no such process, or it is this one, or no such means.
    CapabilityError
        It cannot be tracked unharmed, or the kernel lacks the means.
    """
    if pid == os.getpid():
        raise UsageError(f"process {pid}: is migkit itself; give the id of another program")
    means = means or ("soft-dirty" if probe.probe("soft-dirty").available else "uffd-async")
    if means not in MEANS:
        raise UsageError(f"tracker: {means!r} is not known; use one of {', '.join(MEANS)}")
    if means == "uffd-async":
        return WriteProtectedProcess(pid, keeper)
    found = probe.probe("soft-dirty")
    if not found.available:
        raise CapabilityError(f"tracker soft-dirty: {found.reason}; {found.remedy}")
    return SoftDirtyProcess(pid)


def _is_private(mapping: Mapping) -> bool:
    return "p" in mapping.permissions


def _joined(pieces: Iterator[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return the ranges of all pieces, each of which is valid until the next one."""
    return np.concatenate([np.zeros((0, 2), np.int64), *(each.copy() for each in pieces)])
