"""Generated inputs for everything that reads what others wrote, guided by the lines that they reach.

    python -m tests.verification.fuzz --inputs 1000000

Inputs are real frames and files, altered. One that reaches a transition between two lines that none
reached before is kept and altered further. Where a checksum would stop every altered input at the
door, it is made right again, most of the time. The only way out is a documented error. Each reader runs
in a process of its own, whose death (a crash in a library) or silence is found as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import mmap
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from migkit.calibrate import Calibration, store
from migkit.errors import CapabilityError, MigkitError, TraceError
from migkit.harness.guests import checkpoint, writers
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import MIGRATION, Connection
from migkit.harness.protocol.encoding.codec import CODES, by_name
from migkit.harness.sides.destination import _Destination
from migkit.scenario import DirtyClass, Guest, Host, Scenario, profile
from migkit.scenario.form import schema
from migkit.traces import io
from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, Outcome, Trace
from migkit.units import PAGE_BYTES

PAGES = 8
_ROOM = 10**18  # as wide as any checksum
MOST_BYTES = 1 << 16
MEMORY_BYTES = 4 << 30
HANG_S = 20
TOKENS = [
    *(b'null true false NaN Infinity -1 0 1e999 0.5 [] {} [[]] " , : \\ud800 \xff\xfe'.split()),
    b"9" * 400,
    b"[" * 2000,
    *(word.to_bytes(8, "little", signed=True) for word in (0, 1, -1, 1 << 31, (1 << 63) - 1, 4104, 40)),
]
VALUE = re.compile(rb'(?<=[:\[, ])(?:-?\d[\d.e+-]*|"[^"]{0,40}")')


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader, what it reads, and how an altered input gets past its checksums."""

    seeds: Callable[[], list[bytes]]
    repair: Callable[[bytearray, random.Random], None]
    read: Callable[[bytes], None]
    allowed: type[MigkitError]
    files: tuple[str, ...]


# -- the wire --------------------------------------------------------------------------------


class Recorded:
    """A socket that was written before it is read."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self._at = 0

    def fileno(self):
        return -1

    def sendall(self, data, flags: int = 0) -> None:
        """Take what is sent."""
        self.data += data

    def recv(self, size: int) -> bytes:
        """Return nothing: there is nobody."""
        return b""

    def shutdown(self, how: int) -> None:
        """Say nothing more."""

    def settimeout(self, limit_s: float) -> None:
        """Never wait."""

    def close(self) -> None:
        """Do nothing: nobody else has it."""

    def recv_into(self, target, size: int = 0, flags: int = 0) -> int:
        """Give the next bytes; nothing at the end."""
        part = self.data[self._at : self._at + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)


def frames() -> list[bytes]:
    """Return streams as a source and a destination send them, one for each way to send pages."""
    return [_stream(name) for name in ("none", *CODES.values()) if _installed(name)]


def _installed(name: str) -> bool:
    try:
        by_name(name)
    except MigkitError:
        return False
    return True


def _stream(compression: str) -> bytes:
    sock = Recorded()
    sender = wire.Sender(sock, by_name(compression))
    sender.message(wire.HELLO, {"token": "t", "memory_bytes": PAGES * PAGE_BYTES})
    headers = np.array([1, (page_loops.ZERO << page_loops.KIND_SHIFT) | 3, 2])
    sender.pages(np.arange(PAGES * page_loops.PAGE_WORDS) >> 6, headers, 2, 1)
    sender.message(wire.ROUND, {"full_pages": 2, "zero_pages": 1, "checksum": _ROOM})
    sender.blob(wire.ABSENT, np.array([4, 6], np.int64).tobytes())
    sender.blob(wire.STATE, bytes(8 * writers.REGISTERS))
    sender.message(wire.PREPARE, {"full_pages": 2, "zero_pages": 1, "checksum": _ROOM})
    sender.message(wire.COMMIT)
    sender.blob(wire.DEMAND, np.array([5], np.int64).tobytes())
    sender.message(wire.ABORT, {"reason": "tired"})
    repair_frames(sock.data, random.Random(0))
    return bytes(sock.data)


def repair_frames(data: bytearray, draw: random.Random) -> None:
    """Make sequence numbers, lengths and checksums right, of frames and of rounds."""
    at = sequence = total = 0
    while at + wire.FRAME_BYTES <= len(data):
        kind = data[at + 4] % (max(wire.KINDS) + 1)
        magic = int.from_bytes(b"MGK", "little") | wire.VERSION << 24 | kind << 32
        count, length = struct.unpack_from("<2q", data, at + 16)
        left = len(data) - at - wire.FRAME_BYTES
        length = min(length if 0 <= length <= wire.MAX_PAYLOAD_BYTES else draw.randrange(65), left)
        struct.pack_into("<4q", data, at, magic, sequence, count, length)
        first, end = at + 8 * wire.HEADER_WORDS, at + 8 * wire.HEADER_WORDS + length
        if kind in (wire.ROUND, wire.PREPARE):
            _repair_total(data, first, end, total)
        sum_ = _checksum(data[at:first], data[first:end], count if kind == wire.PAGES else 0)
        if kind in (wire.PAGES, wire.PACKED):
            total = (total + sum_) & page_loops.CHECKSUM_MASK
        struct.pack_into("<q", data, end, sum_)
        at, sequence = at + wire.FRAME_BYTES + length, sequence + 1


def _repair_total(data: bytearray, first: int, end: int, total: int) -> None:
    """Put the checksum of the round where the frame says one, if there is room for it."""
    word = b'"checksum": '
    at = data.find(word, first, end) + len(word)
    width = len(str(_ROOM))
    if first + len(word) <= at <= end - width:
        data[at : at + width] = str(total).ljust(width).encode()


def _checksum(header: bytearray, payload: bytearray, pages: int) -> int:
    """Return the checksum of a frame."""
    words = np.zeros(-(-len(payload) // 8), np.int64)
    words.view(np.uint8)[: len(payload)] = payload
    sum_ = 0
    for part in (np.frombuffer(bytes(header), np.int64), words[: max(pages, 0)], words[max(pages, 0) :]):
        sum_ = int(page_loops.checksum(part, sum_))
    return sum_


class StandIn:
    """The memory of a guest that is never run, with a border that nobody may write to, and an owner who listens."""

    def __init__(self) -> None:
        words = PAGES * page_loops.PAGE_WORDS
        everything = np.zeros(words + page_loops.PAGE_WORDS, np.int64)
        self.words, self.border = everything[:words], everything[words:]
        self.registers = np.zeros(writers.REGISTERS, np.int64)
        self.layout = Guest(memory_bytes=PAGES * PAGE_BYTES)
        self.memory_bytes = PAGES * PAGE_BYTES

    def order(self, do: str) -> dict[str, int]:
        """Obey, as a guest does."""
        return {"operations": 0}

    def send(self, message: dict[str, object]) -> None:
        """Listen, as an owner does."""

    def discard(self, first: int, end: int) -> None:
        """Take pages out of the memory."""
        assert 0 <= first < end <= PAGES

    def take_uffd(self) -> int:
        """Refuse: here nobody can wait for pages."""
        raise CapabilityError("post-copy: not here")


CONFIG = {
    "host": "127.0.0.1",
    "port": 0,
    "patience_s": 1e-3,
    "identity": None,
    "token": "t",
    "memory_bytes": PAGES * PAGE_BYTES,
    "flip_byte": None,
}


def read_frames(data: bytes) -> None:
    """Decode a stream as either side does: all of it, or as a destination that a source talks to."""
    guest = StandIn()
    try:
        if data[-1:] < b"\x80":
            destination, connection = _Destination(CONFIG, guest, guest), Connection(Recorded(data))
            destination.door.admit(connection, MIGRATION)
            destination.take(connection)
        receiver = wire.Receiver(Recorded(data))
        while (frame := receiver.receive()).kind:
            if frame.kind == wire.PAGES:
                wire.check_pages(frame, PAGES)
            elif frame.kind not in (wire.STATE, wire.ABSENT, wire.DEMAND):
                assert isinstance(frame.message, dict)
    finally:
        assert not guest.border.any(), "written beyond the memory"


# -- files -----------------------------------------------------------------------------------

GUEST = Guest(memory_bytes=4 * PAGE_BYTES, dirty=(DirtyClass(region_bytes=PAGE_BYTES, writes_per_s=10.0),))
FILE = Path("/dev/shm") / f"migkit-fuzz-{os.getpid()}"


def traces() -> list[bytes]:
    """Return two small traces."""
    rounds = {name: [1] if kind.startswith("int") else [0.5] for name, kind in ROUND_COLUMNS.items()}
    samples = {name: [0, 1] for name in SAMPLE_COLUMNS} | {"phase": ["setup", "done"]}
    outcome = Outcome(
        verdict="converges",
        total_time_s=1.0,
        downtime_s=0.5,
        transferred_bytes=1,
        iterations=1,
        remaining_at_switchover_bytes=0,
        downtime_parts_s={"load_s": 0.5},
        guest_operations=1,
        verified=True,
        reason="",
    )
    trace = Trace(
        scenario=Scenario(guest=GUEST),
        kind="harness",
        machine={"kernel": "6"},
        samples=make_table(SAMPLE_COLUMNS, samples),
        rounds=make_table(ROUND_COLUMNS, rounds),
        outcome=outcome,
    )
    return [io._encode(trace)]


def repair_trace(data: bytearray, draw: random.Random) -> None:
    """Make the seal of a trace right."""
    if draw.random() < 0.9:
        data[:4] = data[-4:] = b"PAR1"
    at = data.rfind(io._MARK)
    if at >= 0 and at + len(io._MARK) + 64 <= len(data):
        first = at + len(io._MARK)
        data[first : first + 64] = io._ZEROS
        data[first : first + 64] = hashlib.sha256(data).hexdigest().encode()


def read_trace(data: bytes) -> None:
    """Read a trace as from a file."""
    io.decode(data)


def checkpoints() -> list[bytes]:
    """Return a small checkpoint."""
    header = {"migkit_version": "1", "scenario": schema.to_record(Scenario(guest=GUEST))}
    text = json.dumps(header | {"pacing": "running_time", "operations": 0}).encode()
    start = checkpoint._PREFIX.pack(checkpoint._MAGIC, checkpoint.VERSION, len(text)) + text
    body = start.ljust(checkpoint._memory_offset(len(text)), b"\0") + bytes(GUEST.memory_bytes + PAGE_BYTES)
    return [body + hashlib.sha256(body).digest()]


def repair_checkpoint(data: bytearray, draw: random.Random) -> None:
    """Make the length of the header, the length of the file and its checksum right."""
    end = data.find(b"\0" * 16, checkpoint._PREFIX.size)
    if end > 0 and len(data) > checkpoint._PREFIX.size:
        data[: checkpoint._PREFIX.size] = checkpoint._PREFIX.pack(
            checkpoint._MAGIC, checkpoint.VERSION, end - checkpoint._PREFIX.size
        )
    size = checkpoint._memory_offset(max(end - checkpoint._PREFIX.size, 0)) + GUEST.memory_bytes + PAGE_BYTES
    body = bytes(data[:size]).ljust(size, b"\0")
    data[:] = body + hashlib.sha256(body).digest()


def read_checkpoint(data: bytes) -> None:
    """Read a checkpoint from a file."""
    FILE.write_bytes(data)
    checkpoint.read(FILE)


def profiles() -> list[bytes]:
    """Return a dirty profile as ``migkit dirty`` writes it."""
    record = {
        "schema_version": 1,
        "windows_s": [0.1, 1.0],
        "unique_pages": [5.0, 40.0],
        "memory_bytes": 1 << 20,
        "page_bytes": 4096,
    }
    return [json.dumps(record).encode(), json.dumps(record, indent=2).encode()]


def read_profile(data: bytes) -> None:
    """Read a dirty profile from a file, and use it when it is one."""
    FILE.write_bytes(data)
    profile.load(FILE).classes()


def calibrations() -> list[bytes]:
    """Return a small calibration."""
    numbers = {"goodput_bytes_per_s": 1e9, "quiesce_s": 0.001}
    record = store.to_dict(
        Calibration(
            host=Host(**numbers),
            constants=tuple(numbers),
            standard_errors=numbers,
            covariance=((1.0, 0.0), (0.0, 1.0)),
            identified_by=dict.fromkeys(numbers, "a run"),
            refused={"resume_s": "no run"},
            residuals={"total_time_s": (0.1, 0.2)},
            runs=2,
            kind="harness",
        )
    )
    return [json.dumps(record).encode()]


def read_calibration(data: bytes) -> None:
    """Read a calibration from a file."""
    FILE.write_bytes(data)
    store.load(FILE)


def nothing(data: bytearray, draw: random.Random) -> None:
    """Leave an input as it is."""


TARGETS = {
    "wire": Target(
        frames,
        repair_frames,
        read_frames,
        MigkitError,
        ("/harness/wire.py", "/frame.py", "/codec.py", "/destination.py", "/registers.py"),
    ),
    "trace": Target(traces, repair_trace, read_trace, TraceError, ("/traces/", "/scenario/", "/migkit/files.py")),
    "checkpoint": Target(
        checkpoints, repair_checkpoint, read_checkpoint, TraceError, ("/checkpoint.py", "/schema.py", "/registers.py")
    ),
    "profile": Target(profiles, nothing, read_profile, TraceError, ("/scenario/",)),
    "calibration": Target(calibrations, nothing, read_calibration, MigkitError, ("/calibrate/store.py", "/host.py")),
}


# -- the fuzzer ------------------------------------------------------------------------------


class Reached:
    """Transitions from line to line within some files."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._files = files
        self._wanted: dict[object, bool] = {}
        self.now: set[tuple[int, int, int]] = set()

    def __call__(self, frame, event, _):
        """Trace a call, if it is to one of the files."""
        code = frame.f_code
        wanted = self._wanted.get(code)
        if wanted is None:
            wanted = self._wanted[code] = any(part in code.co_filename for part in self._files)
        if not wanted:
            return None
        last, code, now = 0, id(code), self.now

        def line(frame, event, _):
            nonlocal last
            now.add((code, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line


def altered(data: bytes, others: list[bytes], draw: random.Random) -> bytearray:
    """Return an input with a few things done to it."""
    made = bytearray(data)
    for _ in range(1 << draw.randrange(4)):
        at, length = draw.randrange(len(made) + 1), 1 << draw.randrange(8)
        match draw.randrange(9):
            case 0 if made:
                made[at % len(made)] ^= 1 << draw.randrange(8)
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = draw.randbytes(length)
            case 3:
                made[at : at + length] = draw.randbytes(length)
            case 4:
                token = draw.choice(TOKENS)
                made[at : at + (len(token) if draw.random() < 0.5 else 0)] = token
            case 5:
                made[at:at] = made[at : at + length]
            case 6:
                other = draw.choice(others)
                first = draw.randrange(len(other) + 1)
                made[at : at + length] = other[first : first + length]
            case 7:
                at -= at % 8
                made[at : at + 8] = draw.choice(TOKENS[-7:])
            case 8:
                first, last = draw.choice([found.span() for found in VALUE.finditer(made)] or [(at, at)])
                made[first:last] = draw.choice(TOKENS)
    return made[:MOST_BYTES]


def hunt(target: Target, inputs: int, seed: int, note: Callable[[bytes], None]) -> tuple[int, int]:
    """Feed a reader; return how many inputs were kept, and how many transitions they reached.

    Raises
    ------
    Exception
        Whatever is no documented error.
    """
    draw = random.Random(seed)
    corpus = target.seeds()
    reached = Reached(target.files)
    known: set[tuple[int, int, int]] = set()
    for number in range(inputs):
        data = bytearray(corpus[number]) if number < len(corpus) else altered(draw.choice(corpus), corpus, draw)
        if number >= len(corpus) and draw.random() < 0.8:
            target.repair(data, draw)
        note(bytes(data))
        reached.now.clear()
        said = ""
        sys.settrace(reached)
        try:
            target.read(bytes(data))
        except target.allowed as error:
            said = str(error)
        finally:
            sys.settrace(None)
        assert said.isprintable(), f"a message of several lines: {said!r}"
        if not reached.now <= known:
            known |= reached.now
            corpus.append(bytes(data))
    return len(corpus), len(known)


def _address_space_bytes() -> int:
    """Return the address space that this process has from what forked it."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


def fuzz(name: str, inputs: int, seed: int = 1) -> str:
    """Hunt in a process of its own; return what went wrong and on which input, or nothing."""
    shared = mmap.mmap(-1, 8 + MOST_BYTES * 4)

    def note(data: bytes) -> None:
        shared[: 8 + len(data)] = struct.pack("<q", len(data)) + data
        signal.alarm(HANG_S)

    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            most_bytes = _address_space_bytes() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
            kept, reached = hunt(TARGETS[name], inputs, seed, note)
            took_s = time.monotonic() - began_s
            print(f"{name}: {inputs} inputs, {reached} transitions, {kept} kept, {took_s:.0f} s", flush=True)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    FILE.unlink(missing_ok=True)
    if code == 0:
        return ""
    (length,) = struct.unpack("<q", shared[:8])
    path = Path(tempfile.gettempdir()) / f"migkit-fuzz-{name}"
    path.write_bytes(shared[8 : 8 + length])
    return f"{name}: ended with {code}; the input is in {path}"


def main() -> None:
    """Fuzz from the command line; exit 1 when an input did what it must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reader", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    from migkit.harness.runs.warm import warm_up

    warm_up()
    wrong = [found for name in asked.reader or TARGETS if (found := fuzz(name, asked.inputs, asked.seed))]
    print("\n".join(wrong) or "nothing but documented errors")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
