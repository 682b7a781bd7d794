"""The dirty curve of programs that know nothing of it: measured right, and left unharmed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.errors import RunError, TraceError, UsageError
from migkit.harness import probe
from migkit.harness.linux.pagemap import parse_mapping
from migkit.harness.tracking.curve import measure, window_grid
from migkit.harness.tracking.program import WriteProtectedProcess, track
from migkit.scenario import profile
from tests.conftest import require
from tests.harness.watched import facts, settled

REGION_PAGES = 4096
DIRTY = (sys.executable, "-m", "migkit", "dirty")
PROGRAM_C = r"""
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <fcntl.h>

static volatile sig_atomic_t stop;
static void on_signal(int number) { stop = number; }

/* Write once to each of a number of random pages each millisecond; count them in a file, at the end sum up all. */
int main(int argc, char **argv)
{
    size_t pages = strtoul(argv[1], 0, 10), writes_per_ms = strtoul(argv[2], 0, 10);
    unsigned char *memory = aligned_alloc(4096, pages * 4096);
    uint64_t random = 88172645463325252ull, expected = 0, sum = 0;
    volatile uint64_t *writes = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, open(argv[3], O_RDWR), 0);
    struct timespec pause = { 0, 1000000 };
    signal(SIGTERM, on_signal);
    memset(memory, 0, pages * 4096);
    puts("ready");
    fflush(stdout);
    while (!stop) {
        for (size_t i = 0; i < writes_per_ms; i++, ++*writes) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            unsigned char *byte = memory + random % pages * 4096 + (random >> 40) % 4096;
            expected += *byte == 255 ? -255 : 1;
            ++*byte;
        }
        nanosleep(&pause, 0);
    }
    for (size_t i = 0; i < pages * 4096; i++)
        sum += memory[i];
    printf("%llu %s\n", (unsigned long long)*writes, sum == expected ? "intact" : "broken");
    return 0;
}
"""


@pytest.fixture(scope="module")
def binary(tmp_path_factory) -> Path:
    require(probe.probe("gcc").available, probe.probe("gcc").reason)
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.c").write_text(PROGRAM_C)
    # Symbols are looked up at the start: the first call of a function would write pages of the loader's later.
    subprocess.run(["gcc", "-O2", "-Wl,-z,now", "-o", folder / "program", folder / "program.c"], check=True)
    return folder / "program"


@pytest.fixture
def program(binary) -> Iterator[subprocess.Popen[str]]:
    for key in ("ptrace", "uffd-wp-async", "pagemap-scan"):
        require(probe.probe(key).available, probe.probe(key).reason)
    counter = binary.with_name("writes")
    counter.write_bytes(bytes(8))
    process = subprocess.Popen([binary, str(REGION_PAGES), "2", counter], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    with process:
        yield process
        process.kill()


def descriptors_of(pid: int) -> set[str]:
    return {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()}


def left_as_it_was(pid: int, descriptors: set[str]) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    flags = [
        line.split() for line in Path(f"/proc/{pid}/smaps").read_text().splitlines() if line.startswith("VmFlags")
    ]
    return (
        descriptors_of(pid) == descriptors and "TracerPid:\t0" in status and not any("uw" in line for line in flags)
    )


def halt(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        os.sched_yield()


@pytest.mark.live
@pytest.mark.parametrize("writes", [50, 500, 2000])
def test_pages_are_counted_as_exactly_as_chance_allows(program, binary, writes):
    """Of n writes to random pages of N, N (1 - exp(-n / N)) are distinct, give or take the occupancy deviation."""

    def written() -> int:
        return int.from_bytes(binary.with_name("writes").read_bytes(), "little")

    with track(program.pid) as process:
        halt(program.pid)
        before = written()
        process.arm()
        os.kill(program.pid, signal.SIGCONT)
        while written() < before + writes:
            os.sched_yield()
        halt(program.pid)
        done, found = written() - before, process.written_pages()
        os.kill(program.pid, signal.SIGCONT)
    share = -np.expm1(-done / REGION_PAGES)
    deviation = np.sqrt(REGION_PAGES * (1 - share) * (share - done / REGION_PAGES * (1 - share)))
    own_pages = 4  # its stack
    assert -4 * deviation <= found - REGION_PAGES * share <= 4 * deviation + own_pages


@pytest.mark.live
def test_the_curve_of_a_program_with_known_writes(program):
    descriptors = descriptors_of(program.pid)
    with track(program.pid) as process:
        found = measure(process, window_grid(0.02, 1.0), repeats=2)
    assert left_as_it_was(program.pid, descriptors)
    program.send_signal(signal.SIGTERM)
    writes, verdict = program.communicate()[0].split()
    assert verdict == "intact"
    assert int(writes) > 0
    assert found.unique_pages.shape == found.elapsed_s.shape
    assert (np.diff(found.unique_pages, axis=1) >= 0).all()
    assert REGION_PAGES * 4096 <= found.memory_bytes < REGION_PAGES * 4096 + 2**22
    assert found.profile().classes()


@pytest.mark.live
def test_counts_exactly_the_pages_written(plain_writer):
    """The writer says what it writes; what its interpreter writes besides lies elsewhere."""
    writer = plain_writer
    process = WriteProtectedProcess(writer.process.pid)
    end = writer.address + writer.pages * 4096
    own = [m for m in process.memory() if m.start <= writer.address < m.end]
    assert [(m.start, m.end) for m in own] == [(writer.address, end)]
    try:
        process.arm()
        assert process._written_in(own[0]) == 0
        writer.write(3, 4, 5, 900)
        assert process._written_in(own[0]) == 4
        writer.write(5, 6)
        assert process._written_in(own[0]) == 5
        assert process.written_pages() >= 5
        process.arm()
        assert process._written_in(own[0]) == 0
    finally:
        process.close()
    writer.write(*range(64))


@pytest.mark.live
def test_memory_that_is_mapped_within_a_window_counts(tmp_path):
    require(probe.probe("ptrace").available, probe.probe("ptrace").reason)
    code = (
        "import mmap; m = mmap.mmap(-1, 1 << 24); print(input()); m2 = mmap.mmap(-1, 1 << 24); m2[:] = m[:]; input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-uc", "print(); input();" + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        child.stdout.readline()
        with track(child.pid) as process:
            process.arm()
            child.stdin.write("\n1\n")
            child.stdin.flush()
            assert child.stdout.readline() == "1\n"
            for _ in range(1000):
                if process.written_pages() >= (1 << 24) // 4096:
                    break
                threading.Event().wait(0.01)
            else:
                pytest.fail("the new memory was never counted")
    finally:
        child.kill()
        child.communicate()


@pytest.mark.live
def test_a_program_that_ends_is_an_error_of_one_line(program):
    with track(program.pid) as process:
        process.arm()
        program.kill()
        program.wait()
        with pytest.raises(RunError, match=f"process {program.pid}: ended while it was tracked"):
            process.written_pages()


@pytest.mark.live
def test_a_tracker_that_is_killed_leaves_the_program_unharmed(program):
    descriptors = descriptors_of(program.pid)
    tracker = subprocess.Popen(
        [*DIRTY, "--pid", str(program.pid), "--longest", "60 s"],
        stderr=subprocess.DEVNULL,
    )
    while not any("uw" in line.split() for line in Path(f"/proc/{program.pid}/smaps").read_text().splitlines()):
        assert tracker.poll() is None
    before = facts(program.pid)
    tracker.kill()
    tracker.wait()
    settled(program.pid, before, "the tracker was killed")
    assert left_as_it_was(program.pid, descriptors)
    program.send_signal(signal.SIGTERM)
    assert program.communicate()[0].split()[1] == "intact"


class Redis:
    """A Redis server on a socket of its own, and a client that sets keys and remembers them."""

    def __init__(self, folder: Path) -> None:
        path = folder / "redis.sock"
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                "0",
                "--unixsocket",
                path,
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                folder,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if "ready to accept connections" in line.lower():
                break
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.replies = self.socket.makefile("rb")
        self.socket.sendall(self.encoded("PING"))
        assert self.replies.readline() == b"+PONG\r\n"
        self.known: dict[int, int] = {}
        self.stop = threading.Event()

    def load(self) -> None:
        rng = np.random.default_rng(1)
        turn = 0
        while not self.stop.is_set():
            turn += 1
            keys = rng.integers(0, 20000, 50).tolist()
            self.socket.sendall(b"".join(self.encoded("SET", f"k{key}", f"{turn:0200d}") for key in keys))
            assert all(self.replies.readline() == b"+OK\r\n" for _ in keys)
            self.known.update(dict.fromkeys(keys, turn))

    def close(self) -> None:
        self.replies.close()
        self.socket.close()
        self.process.terminate()
        self.process.communicate()

    def get(self, key: int) -> int:
        self.socket.sendall(self.encoded("GET", f"k{key}"))
        self.replies.readline()
        return int(self.replies.readline())

    @staticmethod
    def encoded(*words: str) -> bytes:
        return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)


@pytest.mark.live
def test_a_loaded_redis_is_measured_and_holds_every_key(tmp_path):
    for key in ("redis", "ptrace", "uffd-wp-async"):
        require(probe.probe(key).available, probe.probe(key).reason)
    redis = Redis(tmp_path)
    client = threading.Thread(target=redis.load)
    try:
        descriptors = descriptors_of(redis.process.pid)
        client.start()
        out = tmp_path / "profile.json"
        done = subprocess.run(
            [*DIRTY, "--pid", str(redis.process.pid), "-o", out, "-q", "--longest", "1 s", "--repeats", "2"],
            capture_output=True,
            text=True,
        )
        redis.stop.set()
        client.join()
        assert done.returncode == 0, done.stderr
        measured = profile.load(out)
        assert measured.unique_pages[-1] > 100
        assert json.loads(out.read_text())["program"].startswith("redis-server")
        assert all(redis.get(key) == turn for key, turn in redis.known.items())
        assert len(redis.known) > 1000
        assert left_as_it_was(redis.process.pid, descriptors)
    finally:
        redis.stop.set()
        redis.close()


@pytest.mark.live
def test_the_command_starts_and_ends_a_program(binary, tmp_path):
    counter = tmp_path / "writes"
    counter.write_bytes(bytes(8))
    require(probe.probe("ptrace").available, probe.probe("ptrace").reason)
    done = subprocess.run(
        [
            *DIRTY,
            "--longest",
            "200 ms",
            "--repeats",
            "1",
            "--format",
            "json",
            "-q",
            "--",
            binary,
            "1024",
            "2",
            counter,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["schema_version"] == 1
    assert record["windows_s"] == sorted(record["windows_s"])
    assert "intact" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "dirty: give either --pid PID or -- COMMAND, not both and not neither"),
        (["--pid", "4194305"], 2, "process 4194305: there is none; give the id of a running program"),
        (["--pid", "1", "--longest", "5"], 2, '--longest: "5" has no unit'),
        (["--pid", "1", "--longest", "5 ms"], 2, "windows: 10 ms to 5 ms, 4 a decade, is no grid"),
        (["--", "/no/such"], 2, "/no/such: cannot be started (No such file or directory); check the command"),
        (["--", "false"], 1, "false: ended with exit code 1 before it was measured; track a longer program"),
    ],
)
def test_wrong_usage_is_one_line(arguments, code, message):
    done = subprocess.run([*DIRTY, *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.startswith(f"migkit: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_migkit_does_not_track_itself():
    with pytest.raises(UsageError, match="is migkit itself"):
        track(os.getpid())


@given(st.text(max_size=80))
def test_a_line_of_maps_is_read_or_refused(line):
    try:
        mapping = parse_mapping(line)
    except ValueError:
        return
    assert isinstance(mapping.start, int)


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["windows_s", "unique_pages", "memory_bytes", "page_bytes", "schema_version", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=6,
        ),
    )
)
def test_a_profile_is_read_or_refused(tmp_path_factory, record):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_text(json.dumps(record))
    try:
        read = profile.load(path)
    except TraceError:
        return
    assert len(read.windows_s) == len(read.unique_pages)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_profile(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(data)
    with pytest.raises(TraceError):
        profile.load(path)


def test_a_profile_of_another_version_is_refused(tmp_path):
    (tmp_path / "new.json").write_text('{"schema_version": 2}')
    with pytest.raises(TraceError, match="has schema version 2, this migkit reads 1; measure it again"):
        profile.load(tmp_path / "new.json")
