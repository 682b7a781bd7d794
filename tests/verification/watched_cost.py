"""What tracking costs a program: before, during and after.

``python -m tests.verification.watched_cost`` prints the throughput of redis (``redis-benchmark``), of a QEMU
guest and of a JVM, and the longest pause of any of 64 threads over 4 GiB in several trackings.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from migkit.harness.tracking.program import WriteProtectedProcess
from migkit.qemu.guests.image import guest_image
from tests.harness.watched import build, running, watched
from tests.verification.watched import TARGETS, compile_java

WINDOW_S = 3.0
TURNS = 3
TRACKINGS = 6


def requests_per_s(folder: Path) -> float:
    """Return what ``redis-benchmark`` reaches, setting keys of 200 B at random."""
    command = ["redis-benchmark", "-s", str(folder / "redis.sock"), "-t", "set", "-n", "60000", "-r", "20000"]
    said = subprocess.run([*command, "-d", "200", "--csv"], capture_output=True, text=True, check=True).stdout
    return float(said.strip().splitlines()[-1].split(",")[1].strip('"'))


def processor_share(pid: int) -> Callable[[], float]:
    """Return a measure of work where no other is at hand: processor time a second."""

    def used_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def measured() -> float:
        before_s, began_s = used_s(), time.perf_counter()
        time.sleep(WINDOW_S)
        return (used_s() - before_s) / (time.perf_counter() - began_s)

    return measured


@contextlib.contextmanager
def tracked(pid: int) -> Iterator[None]:
    """Have ``migkit dirty`` track a program meanwhile, windows of 10 ms to 2 s again and again."""
    options = ["--longest", "2 s", "--repeats", "1000", "-q"]
    command = [sys.executable, "-m", "migkit", "dirty", "--pid", str(pid), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while not watched(pid):
            assert process.poll() is None
            time.sleep(0.05)
        try:
            yield
        finally:
            process.terminate()
    while watched(pid):
        time.sleep(0.05)


def compare(name: str, pid: int, measured: Callable[[], float], unit: str) -> None:
    """Print the medians of what is measured before, during and after, in turns."""
    turns = []
    for _ in range(TURNS):
        before = measured()
        with tracked(pid):
            during = measured()
        turns.append((before, during, measured()))
    before, during, after = (median(column) for column in zip(*turns, strict=True))
    print(
        f"{name:6} before {before:8.3g} {unit}, during {during:8.3g} ({during / before:.2f}), "
        f"after {after:8.3g} ({after / before:.2f})",
        flush=True,
    )


def pauses(folder: Path, gib: int, threads: int) -> None:
    with running(folder / "pauses", str(gib << 30), str(threads)) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def longest_ms() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline()) / 1e3

        time.sleep(1.0)
        longest_ms()
        time.sleep(2.0)
        idle = longest_ms()
        found = []
        for _ in range(TRACKINGS):
            with WriteProtectedProcess(process.pid) as process_memory:
                process_memory.arm()
                process_memory.rest(0.2)
                process_memory.written_pages()
            found.append(longest_ms())
    said = " ".join(f"{ms:.1f}" for ms in found)
    print(f"pauses of {threads} threads over {gib} GiB: untracked {idle:.1f} ms; tracked {said} ms")
    print(f"longest pause: median {median(found):.1f} ms, worst {max(found):.1f} ms", flush=True)


@contextlib.contextmanager
def ahead_of_others() -> Iterator[None]:
    """Have this session go before others of this machine, where that is permitted; afterwards it does no more."""
    group = Path("/proc/self/autogroup")
    try:
        before = group.read_text().split()[-1]
        group.write_text("-20")
    except OSError:
        yield
        return
    try:
        yield
    finally:
        group.write_text(before)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--threads", type=int, default=64)
    given = parser.parse_args()
    with ahead_of_others(), tempfile.TemporaryDirectory() as name:
        folder = build(Path(name))
        guest_image()
        compile_java(folder)
        with TARGETS["redis"](folder) as target:
            compare("redis", target.pid, lambda: requests_per_s(folder), "requests/s")
        for kind in ("qemu", "jvm"):
            with TARGETS[kind](folder) as target:
                compare(kind, target.pid, processor_share(target.pid), "CPU s/s")
        pauses(folder, given.gib, given.threads)


if __name__ == "__main__":
    main()
