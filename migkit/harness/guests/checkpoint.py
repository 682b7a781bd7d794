"""Checkpoints: a consistent snapshot of a guest that runs on, in one file that shows any change to it.

The guest is stopped only to copy its registers and write-protect its RAM. While it runs on, pages
are saved in order of address; a page that it is about to write is saved first (copy on write).

A file is: 8 bytes ``MIGKCKPT``; version and length of the header (two little-endian 32-bit words);
the header (JSON); zeros to the next multiple of 4096; RAM; one page of registers; the SHA-256 of all
before it. Pages of zeros that the guest never touched are holes in the file.

The SHA-256 shows damage. It does not show who wrote the file, and whoever alters it can seal it anew: so no size
in it is believed before it is held against the file's own and against the memory that is left here, and the
registers must be some that such a guest can have (:mod:`migkit.harness.guests.registers`).
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import struct
import time
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from migkit import __version__, files
from migkit.errors import CapabilityError, TraceError, UsageError
from migkit.harness.guests import registers, writers
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.guest import PACINGS
from migkit.harness.guests.machine import STATE_BYTES
from migkit.harness.linux.userfaultfd import Feature, Mode, Userfaultfd
from migkit.harness.processes import room
from migkit.harness.tracking.trackers import ranges_of
from migkit.scenario import Scenario
from migkit.scenario.form import schema
from migkit.units import KIB, MIB, PAGE_BYTES, format_size

__all__ = ["VERSION", "Checkpoint", "Saved", "load_into", "read", "save"]

VERSION: Final = 1
_MAGIC: Final = b"MIGKCKPT"
_PREFIX: Final = struct.Struct("<8sII")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_MOST_HEADER_BYTES: Final = MIB
_COPIES: Final = 2  # the guest, and the one that it is compared with
_KEYS: Final = ("migkit_version", "scenario", "pacing", "operations")
_CHUNK_PAGES: Final = 256 * KIB // PAGE_BYTES
_FEATURES: Final = Feature.PAGEFAULT_FLAG_WP | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint file says of itself.

    Attributes
    ----------
    path
        The file.
    scenario
        The guest, in the scenario that it ran in.
    pacing
        How its writers keep time (:mod:`migkit.harness.guests.guest`).
    operations
        Operations that it had done.
    memory_offset
        Where the RAM begins in the file [B].
    """

    path: Path
    scenario: Scenario
    pacing: str
    operations: int
    memory_offset: int

    @property
    def file_bytes(self) -> int:
        """Size that the file must have [B]."""
        return self.memory_offset + self.scenario.guest.memory_bytes + STATE_BYTES + _DIGEST_BYTES


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """How a snapshot went.

    Attributes
    ----------
    operations
        Operations that the guest had done at the instant that the file holds.
    stopped_s
        How long the guest was stopped [s].
    total_s
        How long saving took, while it ran on [s].
    copied_first_pages
        Pages that the guest wrote before they came to their turn.
    """

    operations: int
    stopped_s: float
    total_s: float
    copied_first_pages: int


def save(guest: Attached, scenario: Scenario, pacing: str, path: Path) -> Saved:
    """Write a checkpoint of a running guest, which runs on.

    Parameters
    ----------
    guest
        The guest; its userfaultfd is used up.
    scenario, pacing
        What it runs.
    path
        The file; it appears whole or not at all.

    Raises
    ------
    UsageError
        The file cannot be written.
    CapabilityError
        The kernel or the privileges here do not allow write-protection.
    """
    try:
        with files.appearing(path) as stream:
            saved = _save(guest, scenario, pacing, stream)
            _seal(stream)
    except OSError as error:
        raise UsageError(
            f"checkpoint {path}: cannot be written ({error.strerror}); the guest runs on; choose another file"
        ) from error
    return saved


def read(path: Path) -> Checkpoint:
    """Return what a checkpoint file says of itself, after proof that it is whole and unaltered.

    Raises
    ------
    TraceError
        It cannot be read, is no checkpoint, is truncated, was altered, has another version, or is of a guest
        that cannot be or does not fit here.
    """
    try:
        with files.open_regular(path) as stream:
            checkpoint = _header(stream, path)
            _check_size(stream, checkpoint)
            _registers(stream, checkpoint)
            _check_seal(stream, checkpoint)
    except OSError as error:
        raise TraceError(f"checkpoint {path}: cannot be read ({error.strerror}); check the path") from error
    return checkpoint


def load_into(checkpoint: Checkpoint, guest: Attached) -> None:
    """Put a checkpoint's RAM and registers into a guest that has not run.

    Raises
    ------
    TraceError
        The file is not what it was when it was read.
    """
    memory = memoryview(guest.words.data).cast("B")
    end = checkpoint.memory_offset + guest.memory_bytes
    with files.open_regular(checkpoint.path) as stream:
        position = checkpoint.memory_offset
        while (position := _next_data(stream, position, end)) < end:
            first = position - checkpoint.memory_offset
            count = os.preadv(stream.fileno(), [memory[first : first + MIB]], position)
            if not count:
                raise TraceError(f"checkpoint {checkpoint.path}: was cut while it was read; restore another copy")
            position += count
        guest.registers[:] = _registers(stream, checkpoint)
    guest.registers[writers.STOPPED_NS] = 0


def _registers(stream: IO[bytes], checkpoint: Checkpoint) -> npt.NDArray[np.int64]:
    """Return the registers in a file, which are some that its guest can have."""
    guest = checkpoint.scenario.guest
    stream.seek(checkpoint.memory_offset + guest.memory_bytes)
    found = np.frombuffer(stream.read(STATE_BYTES).ljust(STATE_BYTES), np.int64)
    reason = registers.wrong(found, guest)
    if not reason and found[writers.OPERATIONS] != checkpoint.operations:
        reason = f"operations {found[writers.OPERATIONS]} are not those of its header, {checkpoint.operations}"
    if reason:
        raise TraceError(
            f"checkpoint {checkpoint.path}: was altered: its registers are none of such a guest ({reason}); "
            "restore another copy"
        )
    return found


def _save(guest: Attached, scenario: Scenario, pacing: str, stream: IO[bytes]) -> Saved:
    began_s = time.perf_counter()
    uffd = _write_protection(guest)
    with uffd:
        try:
            guest.order("stop")
            stopped_s = time.perf_counter()
            registers = guest.registers.copy()
            holes = guest.holes().astype(np.bool_)
            uffd.protect(guest.address, guest.memory_bytes)
            guest.order("resume")
            resumed_s = time.perf_counter()
            offset = _begin(stream, scenario, pacing, int(registers[writers.OPERATIONS]))
            copied_first = _Copy(guest, uffd, stream, offset, holes).run()
        finally:
            uffd.leave(guest.address, guest.memory_bytes)
            guest.order("resume")
    os.pwrite(stream.fileno(), registers.tobytes(), offset + guest.memory_bytes)
    return Saved(
        operations=int(registers[writers.OPERATIONS]),
        stopped_s=resumed_s - stopped_s,
        total_s=time.perf_counter() - began_s,
        copied_first_pages=copied_first,
    )


def _write_protection(guest: Attached) -> Userfaultfd:
    descriptor = guest.take_userfaultfd()
    try:
        uffd = Userfaultfd(descriptor, _FEATURES)
        uffd.register(guest.address, guest.memory_bytes, Mode.WRITE_PROTECT)
    except OSError as error:
        os.close(descriptor)
        raise CapabilityError(
            f"checkpoint: the guest cannot be write-protected ({error}); see migkit doctor"
        ) from error
    return uffd


class _Copy:
    """RAM to file, page by page in order, but first what the guest waits to write."""

    def __init__(
        self, guest: Attached, uffd: Userfaultfd, stream: IO[bytes], offset: int, saved: npt.NDArray[np.bool_]
    ) -> None:
        self._guest, self._uffd, self._file, self._offset = guest, uffd, stream.fileno(), offset
        self._memory = memoryview(guest.words.data).cast("B")
        self._saved = saved

    def run(self) -> int:
        """Save all pages; return how many were saved out of turn."""
        out_of_turn = 0
        for first in range(0, self._saved.size, _CHUNK_PAGES):
            out_of_turn += self._serve()
            last = min(first + _CHUNK_PAGES, self._saved.size)
            self._save(first, last)
            self._release(first, last)
        return out_of_turn

    def _serve(self) -> int:
        """Save and release the pages that the guest waits for."""
        served = 0
        for address in np.unique(self._uffd.faults()["address"]):
            page = (int(address) - self._guest.address) // PAGE_BYTES
            served += int(not self._saved[page])
            self._save(page, page + 1)
            self._release(page, page + 1)
        return served

    def _save(self, first: int, last: int) -> None:
        for begin, end in (ranges_of(~self._saved[first:last]) + first).tolist():
            _write_all(
                self._file, self._memory[begin * PAGE_BYTES : end * PAGE_BYTES], self._offset + begin * PAGE_BYTES
            )
        self._saved[first:last] = True

    def _release(self, first: int, last: int) -> None:
        self._uffd.unprotect(self._guest.address + first * PAGE_BYTES, (last - first) * PAGE_BYTES)


def _begin(stream: IO[bytes], scenario: Scenario, pacing: str, operations: int) -> int:
    """Write the header and give the file its size; return where the RAM begins."""
    header = json.dumps(
        {
            "migkit_version": __version__,
            "scenario": schema.to_record(scenario),
            "pacing": pacing,
            "operations": operations,
        }
    ).encode()
    offset = _memory_offset(len(header))
    _write_all(stream.fileno(), memoryview(_PREFIX.pack(_MAGIC, VERSION, len(header)) + header), 0)
    os.ftruncate(stream.fileno(), offset + scenario.guest.memory_bytes + STATE_BYTES)
    return offset


def _memory_offset(header_bytes: int) -> int:
    return -(-(_PREFIX.size + header_bytes) // PAGE_BYTES) * PAGE_BYTES


def _seal(stream: IO[bytes]) -> None:
    size = os.fstat(stream.fileno()).st_size
    _write_all(stream.fileno(), memoryview(_digest(stream, size)), size)
    os.fsync(stream.fileno())


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def _header(stream: IO[bytes], path: Path) -> Checkpoint:
    prefix = stream.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size or prefix[: len(_MAGIC)] != _MAGIC:
        raise TraceError(f"checkpoint {path}: is no checkpoint of migkit; give a file that --checkpoint wrote")
    _, version, header_bytes = _PREFIX.unpack(prefix)
    if version != VERSION:
        raise TraceError(
            f"checkpoint {path}: has version {version}, this migkit reads {VERSION}; use one that reads it"
        )
    data = stream.read(min(header_bytes, _MOST_HEADER_BYTES))
    if header_bytes > _MOST_HEADER_BYTES or len(data) < header_bytes:
        raise TraceError(f"checkpoint {path}: is truncated or altered in its header; restore another copy")
    try:
        facts = _facts(files.parse_json(data))
    except (UsageError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise TraceError(f"checkpoint {path}: its header was altered; restore another copy") from error
    return Checkpoint(path=path, memory_offset=_memory_offset(header_bytes), **facts)


def _facts(record: Any) -> dict[str, Any]:
    """Return the header's facts, each of its type.

    Raises
    ------
    ValueError, TypeError, KeyError
        They are not what they must be.
    """
    pacing, operations = record["pacing"], record["operations"]
    if files.unknown_keys(record, _KEYS):
        raise ValueError("unknown keys")
    if pacing not in PACINGS or type(operations) is not int or operations < 0:
        raise ValueError("pacing or operations")
    return {"scenario": schema.from_record(record["scenario"]), "pacing": pacing, "operations": operations}


def _check_size(stream: IO[bytes], checkpoint: Checkpoint) -> None:
    size = os.fstat(stream.fileno()).st_size
    if size != checkpoint.file_bytes:
        what = "is truncated" if size < checkpoint.file_bytes else "has something appended"
        raise TraceError(
            f"checkpoint {checkpoint.path}: {what}: {size} B, not {checkpoint.file_bytes} B; restore another copy"
        )
    wanted_bytes, available_bytes = _COPIES * checkpoint.scenario.guest.memory_bytes, room.available_bytes()
    if wanted_bytes > available_bytes:
        raise TraceError(
            f"checkpoint {checkpoint.path}: its guest and the one that proves it need {format_size(wanted_bytes)}, "
            f"{format_size(available_bytes)} are available here; free memory or restore it elsewhere"
        )


def _check_seal(stream: IO[bytes], checkpoint: Checkpoint) -> None:
    digest = _digest(stream, checkpoint.file_bytes - _DIGEST_BYTES)
    if stream.read(_DIGEST_BYTES) != digest:
        raise TraceError(f"checkpoint {checkpoint.path}: was altered (its checksum is wrong); restore another copy")


def _digest(stream: IO[bytes], length_bytes: int) -> bytes:
    """Return the SHA-256 of the first bytes of a file, and leave it behind them."""
    stream.seek(0)
    digest = hashlib.sha256()
    while length_bytes:
        block = stream.read(min(length_bytes, MIB))
        if not block:
            raise OSError(errno.EIO, "it was cut while it was read")
        digest.update(block)
        length_bytes -= len(block)
    return digest.digest()


def _next_data(stream: IO[bytes], position: int, end: int) -> int:
    """Return where the next data is that is no hole, at most ``end``."""
    try:
        return min(os.lseek(stream.fileno(), position, os.SEEK_DATA), end)
    except OSError:
        return end
