"""How commands end: seeded ``migkit capture`` on full disks, with few descriptors, little memory, signals, deaths.

    python -m tests.verification.ends --runs 500 --seed 0

Each run must end with the documented exit code and, on the last line of stderr, with where the guest is; without a
traceback; and it must leave no process, no temporary folder and no half-written or unverified trace. What a command
that was killed (SIGKILL) left is removed by the next one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

TOP = Path(__file__).resolve().parents[2]
MIB = 1 << 20
KINDS = (
    "full-disk",
    "file-size",
    "few-descriptors",
    "small-memory",
    "two-signals",
    "dead-nursery",
    "dead-parent",
    "hung-nursery",
    "device",
)
WHERE = re.compile(
    r"(the guest runs on at the (source|destination) \(operation \d+\)"
    r"|THE GUEST IS LOST: [^;]+|no guest was started)$"
)
CODES = (0, 1, 2, 4, 130)
LIMIT_S = 120.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STRATEGIES = ("precopy", "stopcopy", "postcopy", "hybrid")


@dataclasses.dataclass(frozen=True)
class Case:
    """One command and what happens to it."""

    number: int
    kind: str
    strategy: str
    plain: bool
    path: str
    limit: int
    delay_s: float
    signals: tuple[signal.Signals, ...]
    pause_s: float

    @classmethod
    def drawn(cls, number: int) -> Case:
        """Return the case that a seed stands for."""
        draw = random.Random(number)
        kind = draw.choice(KINDS)
        limits = {
            "full-disk": draw.randrange(1, 5) * 4096,
            "file-size": draw.randrange(1, 12 * MIB),
            "few-descriptors": draw.randrange(6, 40),
            "small-memory": draw.randrange(300, 3000) * MIB,
        }
        return cls(
            number=number,
            kind=kind,
            strategy=draw.choice(STRATEGIES),
            plain=draw.random() < 0.5,
            path=draw.choice(("loopback", "relay")),
            limit=limits.get(kind, 0),
            delay_s=draw.choice((-1.0, 1.0))
            * draw.random(),  # below 0: so long after the start, else after the first sample
            signals=tuple(draw.choice(SIGNALS) for _ in range(2)),
            pause_s=draw.choice((0.0, 0.0, 0.01, 0.2)),
        )


@contextlib.contextmanager
def disk_of(case: Case, folder: Path):
    """Yield the folder for the trace, on a small file system of its own if it is to be full."""
    if case.kind != "full-disk":
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={case.limit}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def command_of(case: Case, output: Path) -> list[str]:
    link = ["--path", "relay", "--rtt", "2 ms"] if case.path == "relay" else []
    tls = ["--no-tls"] if case.plain else []
    guest = ["--memory", "16 MiB", "--dirty", 'region = "2 MiB", writes_per_s = 5000', "--seed", str(case.number)]
    rule = ["--max-bandwidth", "20 MB/s", "--strategy", case.strategy, "--recovery", "2 s"]
    target = "/dev/full" if case.kind == "device" else str(output)
    force = ["--force"] if case.kind == "device" else []
    return [sys.executable, "-m", "migkit", "capture", *guest, *rule, *link, *tls, "-o", target, *force]


def limits_of(case: Case):
    """Return what limits the command before it starts."""
    kinds = {
        "file-size": resource.RLIMIT_FSIZE,
        "few-descriptors": resource.RLIMIT_NOFILE,
        "small-memory": resource.RLIMIT_AS,
    }
    if case.kind not in kinds:
        return None
    return lambda: resource.setrlimit(kinds[case.kind], (case.limit, case.limit))


def descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def wait_for(process: subprocess.Popen, case: Case, log: Path) -> None:
    """Wait until the moment of the case: after the command heeds signals, or after the first sample was shown."""
    end_s = time.monotonic() + LIMIT_S
    while process.poll() is None and not heeds(process.pid) and time.monotonic() < end_s:
        select.select([], [], [], 0.005)
    while case.delay_s >= 0 and process.poll() is None and time.monotonic() < end_s:
        if "round 1" in log.read_text(errors="replace"):
            break
        select.select([], [], [], 0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(abs(case.delay_s) * (3.0 if case.delay_s < 0 else 1.0))


def heeds(pid: int) -> bool:
    """Say whether a process handles SIGTERM; before that it is Python that starts, and no program of ours."""
    with contextlib.suppress(OSError):
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
        return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def strike(process: subprocess.Popen, case: Case) -> None:
    """Do to the command, or to its nursery, what the case says."""
    if case.kind == "two-signals":
        for kind in case.signals:
            process.send_signal(kind)
            select.select([], [], [], case.pause_s)
    elif case.kind == "dead-parent":
        process.kill()
    elif case.kind in ("dead-nursery", "hung-nursery"):
        with contextlib.suppress(psutil.NoSuchProcess):
            for nursery in psutil.Process(process.pid).children():
                nursery.send_signal(signal.SIGKILL if case.kind == "dead-nursery" else signal.SIGSTOP)


def run_one(case: Case) -> tuple[str, str]:
    """Run a case; return how it ended and what was wrong with that."""
    with tempfile.TemporaryDirectory(prefix="ends-") as scratch:
        folder, temporary, log = Path(scratch) / "out", Path(scratch) / "tmp", Path(scratch) / "log"
        folder.mkdir()
        temporary.mkdir()
        with disk_of(case, folder):
            environment = os.environ | {"PYTHONPATH": str(TOP), "TMPDIR": str(temporary)}
            with log.open("w") as stream:
                process = subprocess.Popen(
                    command_of(case, folder / "run.parquet"),
                    stdout=subprocess.DEVNULL,
                    stderr=stream,
                    env=environment,
                    preexec_fn=limits_of(case),
                )
            wait_for(process, case, log)
            before = descendants(process.pid)
            strike(process, case)
            try:
                code = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return "hangs", f"did not end within {LIMIT_S:g} s: {log.read_text(errors='replace')[-500:]}"
            return _judged(case, code, log.read_text(errors="replace"), before, folder, temporary)


def _judged(
    case: Case, code: int, text: str, before: list[psutil.Process], folder: Path, temporary: Path
) -> tuple[str, str]:
    wrong = []
    if case.kind == "dead-parent" and code == -signal.SIGKILL:
        result = "killed"
        wrong += _left_by_killed(temporary)
    else:
        last = text.rstrip().rpartition("\n")[2]
        found = WHERE.search(last)
        result = "unharmed" if code == 0 else found.group(1).split(" (")[0].split(":")[0] if found else "not said"
        if code not in CODES:
            wrong.append(f"exit code {code}")
        result = "refused" if code == 2 and not found else result
        if code and not (last.startswith("migkit: ") and (found or result == "refused")):
            wrong.append("does not say where the guest is")
        if code and list(folder.iterdir()):
            wrong.append(f"left {[each.name for each in folder.iterdir()]}")
        if list(temporary.glob("*")):
            wrong.append(f"left {[each.name for each in temporary.iterdir()]}")
    if "Traceback" in text:
        wrong.append("a traceback")
    _, alive = psutil.wait_procs(before, timeout=10)
    for each in alive:
        wrong.append(f"process {each.pid} is left")
        each.kill()
    return result, "; ".join([*wrong, f"exit {code}, said: {text[-700:]}"]) if wrong else ""


def _left_by_killed(temporary: Path) -> list[str]:
    """Return what the next command does not remove of what a killed one left."""
    again = "import migkit.harness.runs.folders as f\nwith f.private_folder(): pass"
    environment = os.environ | {"PYTHONPATH": str(TOP), "TMPDIR": str(temporary)}
    deadline_s = time.monotonic() + 10.0
    while list(temporary.iterdir()) and time.monotonic() < deadline_s:
        subprocess.run([sys.executable, "-c", again], env=environment, check=True)
    return [f"left for good {[each.name for each in temporary.iterdir()]}"] if list(temporary.iterdir()) else []


def ends(numbers, progress=lambda done: None):
    """Run cases; return how often each kind came to each result, and what went wrong."""
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    wrong = []
    for done, number in enumerate(numbers, 1):
        case = Case.drawn(number)
        result, fault = run_one(case)
        table[case.kind][result] += 1
        if fault:
            wrong.append(f"{case}: {fault}")
            print(wrong[-1], file=sys.stderr, flush=True)
        progress(done)
    return table, wrong


def as_text(table) -> str:
    """Return the table as lines of Markdown."""
    total = sum(table.values(), collections.Counter())
    results = sorted(total)
    lines = ["| what happens | runs | " + " | ".join(results) + " |", "|---" * (len(results) + 2) + "|"]
    for kind, row in [*sorted(table.items()), ("all", total)]:
        lines.append(f"| {kind} | {row.total()} | " + " | ".join(str(row[r]) for r in results) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run from the command line; exit 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    asked = parser.parse_args()

    def progress(done: int) -> None:
        if done % 20 == 0:
            print(f"{done}/{asked.runs}", file=sys.stderr, flush=True)

    table, wrong = ends(range(asked.seed, asked.seed + asked.runs), progress)
    print(as_text(table))
    print("\n".join(wrong) or "each said where the guest is, none left anything")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
